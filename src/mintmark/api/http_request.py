"""A request as routes need it: raw path segments, decoded strictly, and parameters that were checked.

A path is split before it is decoded, so a key may hold an encoded slash. A suffix that names a format is cut from the
last segment while it is still encoded: `%2E` for the dot keeps it part of a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

from mintmark.errors import Malformed

if TYPE_CHECKING:
    from starlette.types import Scope

MAX_NUMBER = 2**63 - 1
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_HEADERS = {b"accept": "accept", b"host": "host", b"accept-encoding": "encodings", b"if-none-match": "if_none_match"}
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?")


@dataclass(slots=True)
class HttpRequest:
    """One request. `path` and `query` are as they came, still encoded; `suffix` is the format that the path names."""

    method: str
    path: str
    query: str
    segments: list[str]
    suffix: str | None
    scheme: str
    host: str = ""
    accept: str = ""
    encodings: str = ""
    if_none_match: str = ""
    params: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """Scheme and host, as the client sees them: what makes an address absolute."""
        return f"{self.scheme}://{self.host or 'localhost'}"

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter that is a number from `least` to `most`. Raises Malformed."""
        text = self.params.get(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise Malformed(f"{name} is a whole number from {least} to {most:,}, not {shorten(text)}")
        return int(text)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """A parameter that is one of some words, the first where it is not given. Raises Malformed."""
        text = self.params.get(name, choices[0])
        if text not in choices:
            raise Malformed(f"{name} is one of {', '.join(choices)}, not {shorten(text)}")
        return text


def parse(scope: Scope, suffixes: frozenset[str]) -> HttpRequest:
    """The request of an HTTP scope. Raises Malformed for a path or a query that is not percent-encoded UTF-8."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    raw = raw.partition(b"?")[0]
    query: bytes = scope["query_string"]
    path = raw.decode("latin-1")
    stem, dot, suffix = path.rpartition(".")
    if not dot or suffix not in suffixes:
        stem, suffix = path, ""
    request = HttpRequest(
        scope["method"], path, query.decode("latin-1"), _segments(stem), suffix or None, scope["scheme"]
    )  # fmt: skip
    for name, value in scope["headers"]:
        if (attribute := _HEADERS.get(name)) is not None:
            text = value.decode("latin-1")
            known = getattr(request, attribute)
            setattr(request, attribute, f"{known},{text}" if known else text)
    request.host = request.host if _HOST.fullmatch(request.host) else ""  # what is no host name goes into no answer
    if query:
        request.params = _params(query)
    return request


def whole(text: str) -> int | None:
    """A whole number in a path; None for anything else."""
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= MAX_NUMBER else None


def shorten(text: str) -> str:
    """A value as a message quotes it."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def _segments(path: str) -> list[str]:
    """The segments of a path, each decoded after they were parted."""
    parts = path.split("/")[1:]
    if not path.isascii() or "%" in path:
        try:
            parts = [unquote_to_bytes(part.encode("latin-1")).decode() for part in parts]
        except UnicodeDecodeError:
            raise Malformed("the path is not UTF-8, percent-encoded") from None
    if any("\0" in part for part in parts):
        raise Malformed("U+0000 in the path")
    return parts


def _params(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:  # of which UnicodeDecodeError is one
        raise Malformed("the query is not UTF-8, percent-encoded, of at most 50 parameters") from None
    params = dict(pairs)
    if len(params) != len(pairs):
        raise Malformed("a parameter is given twice")
    if any("\0" in text for pair in pairs for text in pair):
        raise Malformed("U+0000 in the query")
    return params
