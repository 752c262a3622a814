"""Logs to write into a store: honest batches, verified as a mirror verifies them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.formats.register import open_chunk
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.register.reduce import project
from mintmark.store.log.model import Head
from mintmark.store.mirror.model import Batch
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.formats import LogKind
    from mintmark.store.mirror.read_store import ReadStore

Record = tuple[str, str, dict[str, str] | None]  # type, key, item


@dataclass
class Written:
    """A log that is being written into a read database, by the one who verified it."""

    store: ReadStore
    kind: LogKind
    origin: str = "store.example/things"
    world: World = field(init=False)
    live: int = 0
    v1: Edge = field(default_factory=Edge)

    def __post_init__(self) -> None:
        self.world = World(kind=self.kind, origin=self.origin)

    async def grow(self, records: Sequence[Record]) -> Batch:
        """Appends to the log, and verifies what was appended: the batch to integrate."""
        before = self.world.size
        edge = self.world.edge
        self.world.append(*appended(self.kind, records))
        return await self.batch(before, edge)

    async def batch(self, before: int, edge: Edge) -> Batch:
        log = (await self.store.follow(self.origin, self.kind)).id
        known = open_checkpoint(self.world.notes[-2], self.origin, self.world.verifiers) if before else None
        trusted = LogVerifier(self.origin, self.world.verifiers, known, edge)
        proof = await self.world.consistency(self.origin, before, self.world.size) if before else []
        head = trusted.accept(self.world.notes[-1], proof)
        received = self.world.entries(self.origin, before, head.size, head.size)
        chunks = [trusted.chunk(chunk) async for chunk in received]
        rows = None
        if self.kind == "register":
            rows = project(self.v1, [row for chunk in chunks for row in open_chunk(chunk)])
        shown = Head(head.size, head.root, head.note)
        return Batch(log, before, chunks, rows, self.live, head.note, head.size, "test", shown)

    async def write(self, records: Sequence[Record]) -> None:
        batch = await self.grow(records)
        assert (await self.store.commit_batch(batch)).shown
        await self.go_on(batch)

    async def go_on(self, batch: Batch) -> None:
        """Counts on from a batch that was committed."""
        if batch.rows is not None:
            self.v1 = batch.rows.v1
            _, self.live = await self.store.projected(batch.log, batch.size)


def appended(kind: str, records: Sequence[Record]) -> tuple[list[bytes], list[bytes]]:
    """Entries and items of records; an opaque log has the records' text as entries."""
    if kind == "opaque":
        return [repr(record).encode() for record in records], []
    entries, items = [], []
    for type_, key, members in records:
        text = ",".join(f'"{name}":"{value}"' for name, value in sorted((members or {}).items()))
        item = f"{{{text}}}".encode() if members is not None else b""
        digest = item_hash(item) if members is not None else None
        entries.append(format_entry(Entry(key, "2026-01-01T00:00:00Z", type_, digest)))  # type: ignore[arg-type]
        items.append(item)
    return entries, items


def users(start: int, stop: int, keys: int = 100) -> list[Record]:
    """User entries: some keys come again, some records end."""
    return [
        ("user", str(i % keys), None if i % 17 == 11 and i > keys else {"things": str(i % keys), "text": f"é{i}"})
        for i in range(start, stop)
    ]


def erasures(*indices: int) -> list[Record]:
    return [("system", f"erase:{index}", {"authority": "court", "reason": "law"}) for index in indices]
