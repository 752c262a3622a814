"""Which format answers: the suffix decides, else Accept (RFC 9110 section 12.5.1), else the resource's first."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from mintmark.api.problems import NotAcceptable

MEDIA: dict[str, tuple[str, ...]] = {
    "json": ("application/json",),
    "yaml": ("text/yaml", "application/yaml", "application/x-yaml", "text/x-yaml"),
    "csv": ("text/csv",),
    "tsv": ("text/tab-separated-values",),
    "ttl": ("text/turtle",),
    "html": ("text/html", "application/xhtml+xml"),
    "jsonl": ("application/jsonl", "application/x-ndjson"),
    "rsf": ("application/uk-gov-rsf",),
    "zip": ("application/octet-stream", "application/zip"),
    "proof": ("text/plain",),
}
TYPES: dict[str, str] = {
    "json": "application/json",
    "yaml": "text/yaml; charset=UTF-8",
    "csv": "text/csv;charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "ttl": "text/turtle; charset=UTF-8",
    "html": "text/html; charset=UTF-8",
    "jsonl": "application/jsonl",
    "rsf": "application/uk-gov-rsf",
    "zip": "application/octet-stream",
    "proof": "text/plain; charset=UTF-8",
}
SUFFIXES = frozenset(MEDIA)

_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Range(NamedTuple):
    """A media range of an Accept header; `order` is where it stands."""

    type: str
    weight: float


@lru_cache(maxsize=1024)
def choose(suffix: str | None, accept: str, formats: tuple[str, ...]) -> str:
    """One of `formats`. Raises NotAcceptable, naming them."""
    if suffix is not None:
        if suffix not in formats:
            raise NotAcceptable(f"there is no .{suffix} of this; there is {_list(formats)}")
        return suffix
    if not accept:
        return formats[0]
    ranges = [_parse(text) for text in accept.split(",") if text.strip()]
    weights = [(_weight(format_, ranges), -at, format_) for at, format_ in enumerate(formats)]
    weight, _, best = max(weights)
    if weight <= 0:
        raise NotAcceptable(f"nothing of Accept fits; there is {_list(formats)}")
    return best


def _parse(text: str) -> Range:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [match[1] for part in parameters if (match := _WEIGHT.fullmatch(part))]
    return Range(media, float(weights[0]) if weights else 1.0)


def _weight(format_: str, ranges: list[Range]) -> float:
    """What the most specific range that fits says of a format; 0 where none does."""
    best = (-1, 0.0)
    for media in MEDIA[format_]:
        for accepted in ranges:
            rank = _rank(accepted.type, media)
            if rank > best[0] or (rank == best[0] >= 0 and accepted.weight > best[1]):
                best = (rank, accepted.weight)
    return best[1]


def _rank(accepted: str, media: str) -> int:
    if accepted == media:
        return 2
    if accepted == media.split("/")[0] + "/*":
        return 1
    return 0 if accepted == "*/*" else -1


def _list(formats: tuple[str, ...]) -> str:
    return ", ".join(f".{format_}" for format_ in formats)
