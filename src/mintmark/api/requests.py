"""Requests to the read API: Starlette's request with strict parameters, format negotiation, and a register's context.

A path's suffix chooses the format; without one, Accept does (RFC 9110 section 12.5.1); else it is the resource's first.
Parameters are percent-encoded UTF-8, each given once; anything else is Malformed.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request

from mintmark.api.formats import NotAcceptable, parse_range, weight_of
from mintmark.errors import Malformed, NotFound
from mintmark.register.datatypes import shorten
from mintmark.register.links import title
from mintmark.store.registers.register_store import Lookup
from mintmark.tlog.text import MAX_NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import Scope

    from mintmark.api.models import View
    from mintmark.api.register_cache import BatchedReads, RegisterCache
    from mintmark.store.registers.register_store import EntryRow, RegisterStore

P = ParamSpec("P")
R = TypeVar("R")

MAX_PARAMETERS = 50
MAX_CACHED_CHARS = 512  # of a query or an Accept header whose meaning is cached
MAX_HOST_CHARS = 263  # a name of 255 characters, a colon and a port
MAX_CACHED_CALLS = 1_024
MAX_PAGE_CELLS = 500_000  # fields, times rows
MAX_TITLED_LINKS = 100  # links of one record whose targets' titles a page shows
# Keys of our own in an ASGI scope.
SUFFIX, OWN_HOST, DOWNLOAD_BEGAN = "mintmark.suffix", "mintmark.own_host", "mintmark.download_began"
ABORT = "mintmark.abort"  # a function that cuts the client off
HELD = "mintmark.held"  # the bytes that the answer holds

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?")


def cache_short(function: Callable[P, R]) -> Callable[P, R]:
    """Caches the calls of a function whose texts have at most MAX_CACHED_CHARS: a client must not fill the cache."""
    cached = lru_cache(maxsize=MAX_CACHED_CALLS)(function)

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        is_short = all(len(text) <= MAX_CACHED_CHARS for text in args if isinstance(text, str | bytes))
        return cached(*args, **named) if is_short else function(*args, **named)  # type: ignore[arg-type]  # hashable

    call.cache = cached  # type: ignore[attr-defined]  # to look into
    return call


class HttpRequest(Request):
    """A request whose parameters are checked when they are read."""

    @property
    def suffix(self) -> str | None:
        """The format that the path's suffix names."""
        suffix: str | None = self.scope.get(SUFFIX)
        return suffix

    @property
    def dotted(self) -> str:
        """The suffix with its dot; "" for none."""
        return f".{self.suffix}" if self.suffix else ""

    @property
    def on_own_host(self) -> bool:
        """True on the host name of one register: {name}.{domain}."""
        return OWN_HOST in self.scope

    @property
    def sibling_url(self) -> str:
        """On a register's own host, the URL of another register's, with {} for its name."""
        return f"{self.scope['scheme']}://{{}}.{host(self.scope).partition('.')[2]}"

    @property
    def full_path(self) -> str:
        """The path as the client sent it, still encoded, with its suffix."""
        return raw_path(self.scope)

    @property
    def accept(self) -> str:
        """The Accept header."""
        return header(self.scope, b"accept")

    @property
    def if_none_match(self) -> str:
        """The If-None-Match header."""
        return header(self.scope, b"if-none-match")

    @property
    def site_url(self) -> str:
        """Scheme and host as the client sees them; they make an address absolute."""
        return f"{self.scope['scheme']}://{host(self.scope) or 'localhost'}"

    @property
    def wants_all(self) -> bool:
        """True for `?full=1`. Raises Malformed for another value."""
        return self.choice("full", ("0", "1")) == "1"

    @property
    def path_values(self) -> dict[str, str]:
        """The values of the names in the route's path, decoded."""
        names: dict[str, str] = self.scope["path_params"]
        return {name: unquote(text) if "%" in text else text for name, text in names.items()}

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters. Raises Malformed."""
        query: bytes = self.scope["query_string"]
        return parse_query(query) if query else {}

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter that is a number from `least` to `most`. Raises Malformed."""
        text = self.params.get(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise Malformed(f"{name} is a whole number from {least} to {most:,}, not {shorten(text)}")
        return int(text)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """A parameter that is one of `choices`; the first is the default. Raises Malformed."""
        text = self.params.get(name, choices[0])
        if text not in choices:
            raise Malformed(f"{name} is one of {', '.join(choices)}, not {shorten(text)}")
        return text


@dataclass(slots=True)
class RouteContext:
    """A request to one register, as its handler needs it. `log` is the register's id in the store."""

    registers: RegisterCache
    request: HttpRequest
    format: str
    formats: tuple[str, ...]
    view: View
    log: int

    @property
    def store(self) -> RegisterStore:
        """The read database."""
        return self.registers.store

    @property
    def reads(self) -> BatchedReads:
        """Small reads that are batched over requests."""
        return self.registers.reads

    @property
    def max_rows(self) -> int:
        """The rows of a page at most, for a register of many fields."""
        return max(1, MAX_PAGE_CELLS // (len(self.view.columns) or 1))

    def about(self, path: str) -> dict[str, Any]:
        """The fields that all models of a register have."""
        params = self.request.params
        if "at" in params:
            params = {name: text for name, text in params.items() if name != "at"}
        full = self.format in ("full", "jsonl") or self.request.wants_all
        freshness = self.registers.freshness(self.view.name)
        return {
            "path": path, "params": params, "formats": self.formats, "view": self.view, "full": full,
            "freshness": freshness,
        }  # fmt: skip

    async def dangling(self, rows: Iterable[EntryRow]) -> frozenset[tuple[str, str]]:
        """The (register, key) of the rows' links that lead to no record here."""
        columns, linker = self.view.linked, self.view.linker
        if not columns:
            return frozenset()
        rows = list(rows)
        links = dict.fromkeys(link for row in rows for link in linker.records(columns, row.item))
        for row in rows:
            links.pop((self.view.name, row.key), None)  # the row itself shows that this record stands
        return await self.absent(links)

    async def absent(self, links: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those (register, key) of registers here that lead to no record."""
        targets = list(dict.fromkeys(links))
        if not targets:
            return frozenset()
        standing = await self.reads.existing([self._lookup(*target) for target in targets])
        return frozenset(target for target, stands in zip(targets, standing, strict=True) if not stands)

    async def titles(self, row: EntryRow) -> dict[tuple[str, str], str]:
        """The titles of the records that a row links to, by (register, key); of the first MAX_TITLED_LINKS links."""
        own = (self.view.name, row.key)
        links = [link for link in self.view.linker.records(self.view.linked, row.item) if link != own]
        targets = list(dict.fromkeys(links))[:MAX_TITLED_LINKS]
        rows = await asyncio.gather(*(self.reads.latest.get(self._lookup(*target)) for target in targets))
        return {target: title(row.key, row.item) for target, row in zip(targets, rows, strict=True) if row is not None}

    def missing(self, kind: str, text: str) -> NotFound:
        """The error for a record, entry, item or field that the register does not have at the view's size."""
        return NotFound(f"{self.view.name} has no {kind} {shorten(text)} at size {self.view.size}")

    def _lookup(self, register: str, key: str) -> Lookup:
        cached = self.registers.cached[register]
        size = self.view.size if register == self.view.name else cached.head.size
        return Lookup(cached.log.id, size, key)


def raw_path(scope: Scope) -> str:
    """A scope's path, still encoded and without the query."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def host(scope: Scope) -> str:
    """The Host header; "" where it is no host name, which must not get into an answer."""
    text = header(scope, b"host")
    return text if len(text) <= MAX_HOST_CHARS and _is_host(text) else ""


@lru_cache(maxsize=256)
def _is_host(text: str) -> bool:
    return bool(_HOST.fullmatch(text))


def header(scope: Scope, name: bytes) -> str:
    """A header of a scope, its lines joined by commas; "" where it is missing. `name` is in lower case."""
    values = [value for key, value in scope["headers"] if key == name]
    return b",".join(values).decode("latin-1") if values else ""


def parse_number(text: str) -> int | None:
    """A whole number up to MAX_NUMBER in a path; None for anything else."""
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= MAX_NUMBER else None


@cache_short
def parse_query(query: bytes) -> dict[str, str]:
    """The parameters of a query. Raises Malformed."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )  # fmt: skip
    except ValueError:  # UnicodeDecodeError is one
        raise Malformed(f"the query is not UTF-8, percent-encoded, of at most {MAX_PARAMETERS} parameters") from None
    params = dict(pairs)
    if len(params) != len(pairs):
        raise Malformed("a parameter is given twice")
    if any("\0" in text for pair in pairs for text in pair):
        raise Malformed("U+0000 in the query")
    return params


@cache_short
def choose_format(suffix: str | None, accept: str, formats: tuple[str, ...]) -> str:
    """The best of `formats` for a suffix or an Accept header. Raises NotAcceptable, which names the formats."""
    if suffix is not None:
        if suffix not in formats or suffix == "full":
            raise NotAcceptable(f"there is no .{suffix} of this; there is {_listed(formats)}")
        return suffix
    if not accept:
        return formats[0]
    ranges = [parse_range(text) for text in accept.split(",") if text.strip()]
    weights = [(weight_of(format_, ranges), -position, format_) for position, format_ in enumerate(formats)]
    weight, _, best = max(weights)
    if weight <= 0:
        raise NotAcceptable(f"no format of this fits Accept; there is {_listed(formats)}")
    return best


def _listed(formats: tuple[str, ...]) -> str:
    return ", ".join(f".{format_}" for format_ in formats if format_ != "full")
