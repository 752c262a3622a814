"""The registers here, at their heads: kept in memory, so that no request asks for what only a new head can change.

A feed tells which heads moved; what moved is read again: its head, counts, and the definitions that are new since. A
view of a past size is read once and kept; it cannot change.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from mintmark.api.http_request import MAX_NUMBER, shorten
from mintmark.api.linking import Linker
from mintmark.api.models import View
from mintmark.errors import Malformed, NotAvailableYet, NotFound, Unavailable
from mintmark.register.datatypes import is_timestamp
from mintmark.register.reduce import define
from mintmark.register.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mintmark.store.log.heads import HeadListener
    from mintmark.store.log.model import Head, Log
    from mintmark.store.registers.register_store import RegisterStore


KEPT = 4_096  # views of past sizes
YEARS = range(1900, 2100)  # sizes that may be meant as times

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_log = structlog.get_logger("mintmark.api")


@dataclass(slots=True)
class Known:
    """A register at its head. `schemas` are (index of the entry that made it, schema), oldest first."""

    log: Log
    head: Head
    view: View
    schemas: list[tuple[int, Schema]] = field(default_factory=list)

    def schema(self, size: int) -> Schema:
        """The schema in force at a size."""
        at = bisect_left(self.schemas, size, key=lambda made: made[0])
        return self.schemas[at - 1][1] if at else Schema()


class Registers:
    """Every register of one read database, by name."""

    def __init__(self, store: RegisterStore, elsewhere: Mapping[str, str]) -> None:
        self.store = store
        self.known: dict[str, Known] = {}
        self.total = 0  # entries of all registers: it grows whenever one of them does
        self._opaque: dict[str, tuple[Log, Head]] = {}
        self._logs: dict[int, Log] = {}
        self._settled: set[int] = set()  # logs with entries: only of an empty one may the kind still change
        self._linker = Linker(self.known, elsewhere)
        self._past: OrderedDict[tuple[int, int], View] = OrderedDict()

    async def follow(self, feed: HeadListener) -> None:
        """Keeps up with the heads until cancelled."""
        async with feed.subscribe() as subscription:
            while True:
                moved = await subscription.moved()
                try:
                    await self.refresh(moved)
                except Unavailable as error:
                    _log.warning("heads not read", detail=str(error))
                    subscription.add(())
                except Exception:  # noqa: BLE001  # logged; the heads that come next are read all the same
                    _log.exception("heads not read")

    async def refresh(self, moved: Collection[int] | None = None) -> None:
        """Reads the heads of these logs again, or of all."""
        if moved is None or not self._settled >= set(moved):
            self._logs = {log.id: log for log in await self.store.logs()}
        heads = await self.store.heads(self._logs if moved is None else moved)
        self._settled.update(id_ for id_, head in heads.items() if head.size)
        for id_, head in heads.items():
            if (log := self._logs.get(id_)) is None:
                continue
            if log.kind == "register":
                await self._update(log, head)
            else:
                self._opaque[log.name] = (log, head)
        self.total = sum(known.head.size for known in self.known.values())

    def log(self, name: str) -> tuple[Log, Head]:
        """A log of either kind, with its head. Raises NotFound."""
        if (known := self.known.get(name)) is not None:
            return known.log, known.head
        if name in self._opaque:
            return self._opaque[name]
        raise NotFound(f"no log {shorten(name)} here")

    def register(self, name: str) -> Known:
        """A register at its head. Raises NotFound."""
        if (known := self.known.get(name)) is None:
            what = "is no register: it has entries, but no records" if name in self._opaque else "is not served here"
            raise NotFound(f"{shorten(name)} {what}; / lists the registers")
        return known

    async def view(self, name: str, at: str | None) -> View:
        """A register as of a size, a time, or now.

        Raises:
            NotAvailableYet: no such register, or a size beyond its head.
            Malformed: neither a size nor a time.
        """
        known = self.register(name)
        if at is None:
            return known.view
        if _SIZE.fullmatch(at):
            size = await self._size(known, int(at))
        else:
            size = await self.store.size_at(known.log.id, known.head.size, _time(at))
        known = self.register(name)
        return replace(await self._as_of(known, size), head=known.head.size, at=at)

    def for_host(self, view: View, base: str) -> View:
        """The same view for a host that is the register's own; `base` has a place for another register's name."""
        return replace(view, base="", linker=replace(self._linker, base=base))

    async def _size(self, known: Known, size: int) -> int:
        if size > MAX_NUMBER:
            raise Malformed(f"at: a size is at most {MAX_NUMBER}")
        if size > known.head.size:
            await self.refresh([known.log.id])  # who asks may have heard of it before we did
            known = self.register(known.log.name)
        if size > known.head.size:
            meant = f"; for a year write {size}-01-01" if size in YEARS else ""
            raise NotAvailableYet(f"{known.log.name} has {known.head.size} entries, not {size} yet{meant}")
        return size

    async def _as_of(self, known: Known, size: int) -> View:
        if size == known.head.size:
            return known.view
        key = (known.log.id, size)
        if (view := self._past.get(key)) is not None:
            self._past.move_to_end(key)
            return view
        root = (await self.store.edge(known.log.id, size)).root()
        view = await self._view(known.log, size, root, known.schema(size))
        self._past[key] = view
        if len(self._past) > KEPT:
            self._past.popitem(last=False)
        return view

    async def _view(self, log: Log, size: int, root: bytes, schema: Schema) -> View:
        counts = await self.store.counts(log.id, size)
        return View(
            name=log.name, origin=log.origin, base=f"/{log.name}", size=size, root=root, head=size, at=None,
            records=counts.records, entries=counts.entries, updated=counts.updated, schema=schema,
            linker=self._linker, salted=log.salted,
        )  # fmt: skip

    async def _update(self, log: Log, head: Head) -> None:
        known = self.known.get(log.name)
        if known is not None and head.size <= known.head.size and head.note == known.head.note:
            return
        schemas = list(known.schemas) if known else []
        schema = schemas[-1][1] if schemas else Schema()
        for row in await self.store.definitions(log.id, known.head.size if known else 0, head.size):
            schema = define(schema, row.key, row.item)
            schemas.append((row.index, schema))
        self.known[log.name] = Known(log, head, await self._view(log, head.size, head.root, schema), schemas)


def _time(at: str) -> str:
    """The timestamp that `at` means; a date means the end of that day."""
    time = f"{at}T23:59:59Z" if _DATE.fullmatch(at) else at
    if not is_timestamp(time):
        raise Malformed(f"at is a size, a date or a time like 2017-03-01T00:00:00Z, not {shorten(at)}")
    return time
