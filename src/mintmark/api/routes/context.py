"""What a route is given, and what it may give back beside an answer: bytes of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from mintmark.aio import Batcher
from mintmark.api.http_request import shorten
from mintmark.api.linking import title
from mintmark.errors import NotFound
from mintmark.store.log.cached_reader import TileCache
from mintmark.store.registers.register_store import EntryRow, Lookup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from mintmark.api.http_request import HttpRequest
    from mintmark.api.models import Answer, View
    from mintmark.api.register_cache import Registers
    from mintmark.store.registers.register_store import RegisterStore

Handler: TypeAlias = "Callable[..., Awaitable[Answer | Reply]]"

DAY, FOREVER = 86_400, 31_536_000  # seconds
TITLED = 100  # links of a record whose targets' titles a page shows
KEPT = 50_000  # records of which it is known whether they stand


class Readers:
    """The single questions that every request asks, in groups."""

    def __init__(self, store: RegisterStore) -> None:
        self.latest: Batcher[Lookup, EntryRow] = Batcher(store.latest)
        self.tiles = TileCache(store.tiles_at)
        self.v1_tiles = TileCache(store.v1_tiles)
        self._existing: Batcher[Sequence[Lookup], Sequence[bool]] = Batcher(self._exist)
        self._known: dict[Lookup, bool] = {}
        self._store = store

    async def existing(self, lookups: Sequence[Lookup]) -> list[bool]:
        """Whether each of these records stands. What was true at a size stays true, so it is asked for once."""
        known = {lookup: self._known.get(lookup) for lookup in lookups}
        if asked := [lookup for lookup, stands in known.items() if stands is None]:
            found = dict(zip(asked, await self._existing.get(asked) or (), strict=True))
            if len(self._known) > KEPT:
                self._known.clear()
            self._known.update(found)
            known.update(found)
        return [bool(known[lookup]) for lookup in lookups]

    async def _exist(self, asked: Sequence[Sequence[Lookup]]) -> dict[int, Sequence[bool]]:
        found = await self._store.existing([lookup for lookups in asked for lookup in lookups])
        answers: dict[int, Sequence[bool]] = {}
        at = 0
        for place, lookups in enumerate(asked):
            answers[place] = [at + offset in found for offset in range(len(lookups))]
            at += len(lookups)
        return answers


@dataclass(slots=True)
class RouteContext:
    """One request to one register. `view` is what it asked for, `log` the register's id in the store."""

    registers: Registers
    readers: Readers
    request: HttpRequest
    format: str
    formats: tuple[str, ...]
    view: View
    log: int

    @property
    def store(self) -> RegisterStore:
        """The read database."""
        return self.registers.store

    def answer(self, path: str) -> dict[str, Any]:
        """What every answer about a register has."""
        params = {name: text for name, text in self.request.params.items() if name != "at"}
        return {"path": path, "params": params, "formats": self.formats, "view": self.view}

    async def dangling(self, rows: Iterable[EntryRow]) -> frozenset[tuple[str, str]]:
        """The (register, key) of the links of these rows that lead to no record here."""
        columns, linker = self.view.linked, self.view.linker
        if not columns:
            return frozenset()
        rows = list(rows)
        links = dict.fromkeys(link for row in rows for link in linker.records(columns, row.item))
        for row in rows:
            links.pop((self.view.name, row.key), None)  # it stands: here it is
        return await self.absent(links)

    async def absent(self, links: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those (register, key) of registers here that lead to no record."""
        targets = list(dict.fromkeys(links))
        if not targets:
            return frozenset()
        stands = await self.readers.existing([self._lookup(*target) for target in targets])
        return frozenset(target for target, is_there in zip(targets, stands, strict=True) if not is_there)

    async def titles(self, row: EntryRow) -> dict[tuple[str, str], str]:
        """What people call the records that a row links to, of the first TITLED links."""
        own = (self.view.name, row.key)
        links = [link for link in self.view.linker.records(self.view.linked, row.item) if link != own]
        targets = list(dict.fromkeys(links))[:TITLED]
        rows = await asyncio.gather(*(self.readers.latest.get(self._lookup(*target)) for target in targets))
        return {target: title(row) for target, row in zip(targets, rows, strict=True) if row is not None}

    def _lookup(self, register: str, key: str) -> Lookup:
        known = self.registers.known[register]
        size = self.view.size if register == self.view.name else known.head.size
        return Lookup(known.log.id, size, key)


@dataclass(slots=True)
class Reply:
    """An HTTP response. `fresh` is how many seconds it stays true: 0, ask again each time."""

    type: str
    body: bytes | AsyncGenerator[bytes, None]
    status: int = 200
    fresh: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Route(NamedTuple):
    """A path's handler, the formats that it has, the likeliest first, and whether its answer at a size is final.

    `final`: seconds that an answer at a fixed size stays true; 0 where it may change (a link that begins to resolve).
    """

    handler: Handler
    formats: tuple[str, ...]
    final: int = 0


def missing(what: str, text: str, view: View) -> NotFound:
    """The error for what is not in a register as of a view."""
    return NotFound(f"{view.name} has no {what} {shorten(text)} at size {view.size}")
