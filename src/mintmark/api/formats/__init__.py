"""The formats of the read API: their suffixes and media types. One file prints each family of formats.

trees     JSON, JSON Lines: the model as a tree          yaml      the same trees as YAML
          (`json` is what v1 published, `full` all of it)
tables    CSV, TSV: the model as a table                 turtle    the model as a graph
archive   the zip file of a whole register
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")

FULL_JSON = "application/vnd.mintmark+json"  # JSON with the members that v1 has not
# What an Accept header may call each format; the first is the usual name.
MEDIA_TYPES: Mapping[str, tuple[str, ...]] = {
    "json": ("application/json",),
    "full": (FULL_JSON,),
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
# The Content-Type of each format.
CONTENT_TYPES: Mapping[str, str] = {
    "json": "application/json",
    "full": FULL_JSON,
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
SUFFIXES = frozenset(MEDIA_TYPES) - {"full"}  # which is `.json?full=1`


class NotAcceptable(MintmarkError):
    """No format that the client accepts can represent the resource (HTTP 406)."""


def item_path(index: int) -> str:
    """The path, below a register's, of the bytes of an entry's item."""
    return f"/log/items/{index}"


def segment(key: str) -> str:
    """A key as one segment of a path. An end that looks like a format's suffix is encoded too."""
    if key.isascii() and key.isalnum():
        return key
    stem, dot, end = key.rpartition(".")
    return f"{quote(stem, safe='')}%2E{end}" if dot and end in SUFFIXES else quote(key, safe="")


class MediaRange(NamedTuple):
    """A media range of an Accept header."""

    type: str
    weight: float


def parse_range(text: str) -> MediaRange:
    """One media range of an Accept header. A weight that is none counts as 1."""
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [match[1] for part in parameters if (match := _WEIGHT.fullmatch(part))]
    return MediaRange(media, float(weights[0]) if weights else 1.0)


def weight_of(format_: str, ranges: list[MediaRange]) -> float:
    """The weight that the most specific fitting range gives a format; 0 where none fits."""
    best = (-1, 0.0)
    for media in MEDIA_TYPES[format_]:
        for accepted in ranges:
            rank = _specificity(accepted.type, media)
            if rank > best[0] or (rank == best[0] >= 0 and accepted.weight > best[1]):
                best = (rank, accepted.weight)
    return best[1]


def _specificity(accepted: str, media: str) -> int:
    if accepted == media:
        return 2
    if accepted == media.split("/")[0] + "/*":
        return 1
    return 0 if accepted == "*/*" else -1
