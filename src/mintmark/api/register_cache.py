"""The registers of one read database at their heads, cached: a request reads nothing that only a new head can change.

The head listener tells which heads moved. Of those, the head, the counts and the new definitions are read again. A view
of a past size never changes; it is read once and cached.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from mintmark.aio import Backoff, Batcher, ByteBudget
from mintmark.api.formats import segment
from mintmark.api.freshness import FreshnessCache
from mintmark.api.models import View
from mintmark.errors import Malformed, NotAvailableYet, NotFound, Unavailable
from mintmark.register.datatypes import is_timestamp, shorten
from mintmark.register.links import Linker
from mintmark.register.reduce import define
from mintmark.register.schema import Schema
from mintmark.store.log.cached_reader import TileCache
from mintmark.store.mirror.freshness import FreshnessStore
from mintmark.tlog.text import MAX_NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mintmark.api.freshness import LogFreshness
    from mintmark.store.log.heads import HeadListener
    from mintmark.store.log.model import Head, Log
    from mintmark.store.registers.register_store import EntryRow, Lookup, RegisterStore


MAX_READ_BYTES = 256 * 2**20  # that answers hold while they are made
SLOW_SECONDS = 3.0  # without progress, after which a download is cut off where others wait
MAX_PAST_VIEWS = 4_096
MAX_KNOWN_RECORDS = 50_000  # records of which it is cached whether they stand
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.2, 4.0  # after heads that could not be read
YEAR_LIKE_SIZES = range(1900, 2100)  # a client that asks for such a size may mean a year

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_log = structlog.get_logger("mintmark.api")


@dataclass(slots=True)
class CachedRegister:
    """A register at its head. `schemas` are (index of the defining entry, schema), oldest first."""

    log: Log
    head: Head
    view: View
    schemas: list[tuple[int, Schema]] = field(default_factory=list)

    def schema(self, size: int) -> Schema:
        """The schema in force at a size."""
        position = bisect_left(self.schemas, size, key=lambda defined: defined[0])
        return self.schemas[position - 1][1] if position else Schema()


class BatchedReads:
    """The small reads that every request makes. Those of requests at the same time become one query."""

    def __init__(self, store: RegisterStore) -> None:
        self.latest: Batcher[Lookup, EntryRow] = Batcher(store.latest)
        self.tiles = TileCache(store.tiles_at)
        self.v1_tiles = TileCache(store.v1_tiles)
        self._existing: Batcher[Sequence[Lookup], Sequence[bool]] = Batcher(self._fetch_existing)
        self._known: dict[Lookup, bool] = {}  # a record that stood at a size did so for ever
        self._store = store

    async def existing(self, lookups: Sequence[Lookup]) -> list[bool]:
        """True for each of these records that stands."""
        found = {lookup: self._known.get(lookup) for lookup in lookups}
        if unknown := [lookup for lookup, stands in found.items() if stands is None]:
            read = dict(zip(unknown, await self._existing.get(unknown) or (), strict=True))
            if len(self._known) > MAX_KNOWN_RECORDS:
                self._known.clear()
            self._known.update(read)
            found.update(read)
        return [bool(found[lookup]) for lookup in lookups]

    async def _fetch_existing(self, batch: Sequence[Sequence[Lookup]]) -> dict[int, Sequence[bool]]:
        standing = await self._store.existing([lookup for lookups in batch for lookup in lookups])
        found: dict[int, Sequence[bool]] = {}
        start = 0
        for place, lookups in enumerate(batch):
            found[place] = [start + offset in standing for offset in range(len(lookups))]
            start += len(lookups)
        return found


class RegisterCache:
    """Every register of one read database, by name."""

    def __init__(self, store: RegisterStore, elsewhere: Mapping[str, str]) -> None:
        self.store = store
        self.reads = BatchedReads(store)
        self.memory = ByteBudget(MAX_READ_BYTES, SLOW_SECONDS)
        self._freshness = FreshnessCache(FreshnessStore(store.pool))
        self.cached: dict[str, CachedRegister] = {}
        self.total = 0  # entries of all registers: it grows whenever one of them does
        self._opaque: dict[str, tuple[Log, Head]] = {}
        self._logs: dict[int, Log] = {}
        self._nonempty: set[int] = set()  # log ids; only the kind of an empty log may still change
        self._linker = Linker(self.cached, elsewhere, segment)
        self._past: OrderedDict[tuple[int, int], View] = OrderedDict()

    async def watch_freshness(self) -> None:
        """Reads how fresh the logs are, until cancelled."""
        await self._freshness.run()

    def freshness(self, name: str) -> LogFreshness:
        """How fresh a log is, with the head that is shown here. Raises NotFound."""
        return self._freshness.of(name, self.log(name)[1].size)

    async def follow(self, heads: HeadListener) -> None:
        """Refreshes the registers whose heads move, until cancelled. Heads that could not be read are read again."""
        backoff = Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        async with heads.subscribe() as subscription:
            while True:
                moved = await subscription.moved()
                try:
                    await self.refresh(moved)
                except Exception as error:  # noqa: BLE001  # logged, and tried again
                    if isinstance(error, Unavailable):
                        _log.warning("heads not read", detail=str(error))
                    else:
                        _log.exception("heads not read")
                    await asyncio.sleep(backoff.next())
                    subscription.add(moved)
                else:
                    backoff.reset()

    async def refresh(self, moved: Collection[int] | None = None) -> None:
        """Reads the heads of these logs (by id) again, or of all logs and how fresh they are."""
        if moved is None:
            await self._freshness.read()
        if moved is None or not self._nonempty >= set(moved):
            self._logs = {log.id: log for log in await self.store.logs()}
        heads = await self.store.heads(self._logs if moved is None else moved)
        self._nonempty.update(id_ for id_, head in heads.items() if head.size)
        for id_, head in heads.items():
            if (log := self._logs.get(id_)) is None:
                continue
            if log.kind == "register":
                await self._update(log, head)
            else:
                self._opaque[log.name] = (log, head)
        self.total = sum(cached.head.size for cached in self.cached.values())

    def has_log(self, name: str) -> bool:
        """True if a log of this name is here, of either kind."""
        return name in self.cached or name in self._opaque

    def log(self, name: str) -> tuple[Log, Head]:
        """A log of either kind, with its head. Raises NotFound."""
        if (cached := self.cached.get(name)) is not None:
            return cached.log, cached.head
        if name in self._opaque:
            return self._opaque[name]
        raise NotFound(f"no log {shorten(name)} here")

    def register(self, name: str) -> CachedRegister:
        """A register at its head. Raises NotFound."""
        if (cached := self.cached.get(name)) is None:
            reason = "is no register: it has entries, but no records" if name in self._opaque else "is not served here"
            raise NotFound(f"{shorten(name)} {reason}; / lists the registers")
        return cached

    async def view(self, name: str, at: str | None) -> View:
        """A register as of a size or a time; None: as of its head.

        Raises:
            NotFound: no such register.
            NotAvailableYet: a size beyond the head.
            Malformed: neither a size nor a time.
        """
        cached = self.register(name)
        if at is None:
            return cached.view
        if _SIZE.fullmatch(at):
            size = await self._check_size(cached, int(at))
        else:
            size = await self.store.size_at(cached.log.id, cached.head.size, _parse_time(at))
        cached = self.register(name)
        return replace(await self._view_at(cached, size), head=cached.head.size, at=at)

    def own_register(self, host: str) -> str | None:
        """The register whose own host this is: {name}.{domain} of its origin."""
        name, _, domain = host.partition(":")[0].partition(".")
        cached = self.cached.get(name)
        return name if cached is not None and cached.log.origin == f"{domain}/{name}" else None

    def for_host(self, view: View, base: str) -> View:
        """The view for the register's own host; `base` is the URL of another register, with {} for its name."""
        return replace(view, base="", linker=replace(self._linker, base=base))

    async def _check_size(self, cached: CachedRegister, size: int) -> int:
        if size > MAX_NUMBER:
            raise Malformed(f"at: a size is at most {MAX_NUMBER}")
        if size > cached.head.size:
            await self.refresh([cached.log.id])  # the client may have heard of the head before we did
            cached = self.register(cached.log.name)
        if size > cached.head.size:
            hint = f"; for a year write {size}-01-01" if size in YEAR_LIKE_SIZES else ""
            raise NotAvailableYet(f"{cached.log.name} has {cached.head.size} entries, not {size} yet{hint}")
        return size

    async def _view_at(self, cached: CachedRegister, size: int) -> View:
        if size == cached.head.size:
            return cached.view
        key = (cached.log.id, size)
        if (view := self._past.get(key)) is not None:
            self._past.move_to_end(key)
            return view
        root = (await self.store.edge(cached.log.id, size)).root()
        view = await self._read_view(cached.log, size, root, cached.schema(size))
        self._past[key] = view
        if len(self._past) > MAX_PAST_VIEWS:
            self._past.popitem(last=False)
        return view

    async def _read_view(self, log: Log, size: int, root: bytes, schema: Schema) -> View:
        counts = await self.store.counts(log.id, size)
        return View(
            name=log.name, origin=log.origin, base=f"/{log.name}", size=size, root=root, head=size, at=None,
            records=counts.records, entries=counts.entries, updated=counts.updated, schema=schema,
            linker=self._linker, salted=log.salted,
        )  # fmt: skip

    async def _update(self, log: Log, head: Head) -> None:
        cached = self.cached.get(log.name)
        if cached is not None and head.size <= cached.head.size and head.note == cached.head.note:
            return
        schemas = list(cached.schemas) if cached else []
        schema = schemas[-1][1] if schemas else Schema()
        for row in await self.store.definitions(log.id, cached.head.size if cached else 0, head.size):
            schema = define(schema, row.key, row.item)
            schemas.append((row.index, schema))
        view = await self._read_view(log, head.size, head.root, schema)
        self.cached[log.name] = CachedRegister(log, head, view, schemas)


def _parse_time(at: str) -> str:
    """A timestamp; a date means the end of its day. Raises Malformed."""
    time = f"{at}T23:59:59Z" if _DATE.fullmatch(at) else at
    if not is_timestamp(time):
        raise Malformed(f"at is a size, a date or a time like 2017-03-01T00:00:00Z, not {shorten(at)}")
    return time
