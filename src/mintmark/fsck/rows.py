"""The projection of a register or an opaque log against its entries: every column of every row, as they stream by.

A chunk's rows are projected again and compared as the bytes of a COPY; only where those differ are they taken apart.
What is known at an entry's place is compared there. That an entry is superseded is known later, when the next of its
key comes: then the earlier row is looked up. Rows found wrong so far are left out of such lookups, and stood in for by
what they should say, so that one damage is one finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from mintmark.errors import MintmarkError
from mintmark.fsck.columns import columns, differing, split, text
from mintmark.fsck.tree import tile_counts
from mintmark.register.kernel import copy_rows
from mintmark.register.reduce import RunningCounts, count_standing, key_of, project, stands
from mintmark.store.fsck import fsck_store as sql
from mintmark.store.fsck import repair_sql
from mintmark.tlog import kernel, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH, WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mintmark.fsck.damage import Findings
    from mintmark.register.entry import Row
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.fsck.repair_sql import Fix
    from mintmark.store.log.model import Log, TileKey

    Key = tuple[str, str]

MANY = 10_000  # damaged rows, from which on all are made again instead


@dataclass(frozen=True, slots=True)
class Truth:
    """What a row that is damaged should say, as far as others depend on it."""

    key: Key
    index: int
    stood: bool


@dataclass
class RowsCheck:
    """The rows of one log in a read database, from some index on; `counts` are those before it."""

    store: FsckStore
    log: Log
    counts: RunningCounts
    found: Findings
    _bad: dict[int, Truth | None] = field(default_factory=dict)

    @classmethod
    async def begin(cls, store: FsckStore, log: Log, start: int, found: Findings) -> RowsCheck:
        """Ready for the entry at `start`. Raises MintmarkError where the row before it is lost."""
        counts = RunningCounts()
        if start and log.kind == "register":
            rows = await store.fetch(sql.COUNTS, (log.id, start - 1))
            if not rows or None in rows[0]:
                raise MintmarkError(f"entry {start - 1} of {log.origin} is damaged; run fsck without --since")
            number, live = rows[0]
            tiles = await store.tiles("v1_tile", log.id, tile.edge_keys(number))
            counts = RunningCounts(live, Edge.load(number, {key: stored.hashes for key, stored in tiles.items()}))
        return cls(store, log, counts, found)

    @property
    def many(self) -> bool:
        """Whether so many rows are wrong that all had better be made again."""
        return len(self._bad) > MANY

    async def leaves(self, start: int, hashes: bytes) -> None:
        """Compares the rows of an opaque log."""
        end = start + len(hashes) // HASH
        if await self.store.leaves(self.log.id, start, end) == hashes:
            return
        stored = await self.store.entries(self.log.id, start, end)
        blank = b"\xff" * 4 * 8
        rows = kernel.copy_rows(self.log.id, start, hashes)
        step = len(rows) // (end - start)
        expected = [b"\0\x0b" + rows[at + 2 : at + step] + blank for at in range(0, len(rows), step)]
        self._compare(expected, split(stored), range(start, end), [])

    async def rows(self, rows: Sequence[Row], unknown: Collection[int] = ()) -> None:
        """Compares the rows of a register, which follow those before; items at `unknown` indices are not known."""
        projected = project(self.counts.v1, [row._replace(item=None) for row in rows])
        start, end = rows[0].index, rows[-1].index + 1
        prior = await self._prior(projected.first_keys, start)
        stood = {truth.key[1] for truth in prior if truth.stood and truth.key[0] == "user"}
        live = count_standing(rows, stood, self.counts.live)
        expected = copy_rows(self.log.id, projected.rows, projected.following, projected.number, live)
        stored = await self.store.entries(self.log.id, start, end)
        if stored != expected:
            self._compare(split(expected), split(stored), range(start, end), rows)
        await self._items([row for row in rows if row.index not in unknown], start, end)
        await self._v1_tiles({key: hashes for key, hashes in projected.v1_tiles.items() if len(hashes) == WIDTH * HASH})
        self.counts = RunningCounts(live[-1], projected.v1)

    async def finish(self, size: int) -> None:
        """What can be said at the end only: unfinished v1 tiles, rows beyond the end, and what supersedes nothing."""
        for index in await self.store.stray_rows("entry", self.log.id, size):
            self.found(
                "entry",
                index,
                f"a log of {size} entries has no such row",
                repair_sql.no_row("entry", self.log.id, index),
            )
        if self.log.kind == "register":
            v1 = self.counts.v1
            await self._v1_tiles({(level, index): v1.tiles[level] for level, index in tile.edge_keys(v1.size)})
        counts = tile_counts(self.counts.number)
        for key in await self.store.stray_tiles("v1_tile", self.log.id, counts):
            what = f"a tree of {self.counts.number} entries has no such tile"
            self.found("v1_tile", f"{key[0]}/{key[1]}", what, repair_sql.no_tile("v1_tile", self.log.id, key))
        if self.log.kind == "register":
            await self._stale(size)

    def _compare(self, expected: Sequence[bytes], stored: Sequence[bytes], indices: range, rows: Sequence[Row]) -> None:
        """Names the columns of the rows that differ."""
        kept = {columns(row)["index"]: row for row in stored}
        for index, row in zip(indices, expected, strict=True):
            if wrong := differing(row, kept[index]) if index in kept else "lost":
                opened = rows[index - indices.start] if rows else None
                self.found("entry", index, wrong, self._row_fix(row, opened))
                self._bad[index] = _truth(index, opened)
            if self.many:
                self.found(
                    "entry", f"{index}-", f"{MANY:,} rows before it are wrong; those behind it were not looked at"
                )
                return

    async def _prior(self, first: Mapping[Key, int], start: int) -> list[Truth]:
        """The last entry of each key before `start`; it is to be superseded by the key's first entry from there on."""
        if not first or not start:
            return []
        found = {}
        for type_, key, index, stood, by in await self.store.prior(self.log.id, first, start, list(self._bad)):
            found[type_, key] = Truth((type_, key), index, stood)
            if by != first[type_, key] and not self._misled(found[type_, key]):
                what = f"superseded_by: {by} where {first[type_, key]} belongs"
                self.found("entry", index, what, self._superseded_fix(index))
        for truth in self._bad.values():
            if truth is not None and truth.key in first:
                known = found.get(truth.key)
                if truth.index < start and (known is None or known.index < truth.index):
                    found[truth.key] = truth
        return list(found.values())

    def _misled(self, found: Truth) -> bool:
        """Whether a damaged row stands between, so that this one is superseded by that."""
        return any(truth and truth.key == found.key and truth.index > found.index for truth in self._bad.values())

    async def _items(self, rows: Sequence[Row], start: int, end: int) -> None:
        stored = await self.store.items(self.log.id, start, end)
        for row in rows:
            kept = stored.get(row.index)
            if row.item is None or kept is None:
                same = row.item is None and kept is None
            else:
                same = orjson.loads(kept) == orjson.loads(row.item)
            if not same:
                right = row.item.decode() if row.item is not None else None
                fix = repair_sql.Fix(repair_sql.ITEM, (right, self.log.id, row.index))
                self.found("entry", row.index, "item: it is not the one that its bundle has", fix)

    async def _v1_tiles(self, computed: Mapping[TileKey, bytes]) -> None:
        stored = await self.store.tiles("v1_tile", self.log.id, list(computed)) if computed else {}
        for key, hashes in computed.items():
            kept, name, width = stored.get(key), f"{key[0]}/{key[1]}", len(hashes) // HASH
            fix = repair_sql.tile("v1_tile", self.log.id, key, hashes)
            if kept is None:
                self.found("v1_tile", name, "lost", fix)
            elif kept.hashes != hashes:
                self.found("v1_tile", name, "other hashes than those of the user entries", fix)
            elif kept.width != width:
                self.found("v1_tile", name, f"width: {kept.width} where {width} belong", fix)

    async def _stale(self, size: int) -> None:
        """Rows superseded by what is no later entry of their key."""
        for index, by, type_, key in await self.store.fetch(sql.STALE, (self.log.id,)):
            named = self._bad.get(by)
            if index in self._bad or index >= size or (named is not None and named.key == (type_, key)):
                continue
            what = f"superseded_by: {by}, which is no later entry of its key"
            self.found("entry", index, what, self._superseded_fix(index))

    def _superseded_fix(self, index: int) -> Fix:
        return repair_sql.Fix(repair_sql.SUPERSEDED, (self.log.id, index))

    def _row_fix(self, row: bytes, opened: Row | None) -> Fix:
        values: dict[str, object] = {name: text(name, value) for name, value in columns(row).items()}
        values["item"] = opened.item.decode() if opened is not None and opened.item is not None else None
        return repair_sql.Fix(repair_sql.PUT_ENTRY, values)


def _truth(index: int, opened: Row | None) -> Truth | None:
    """What stands in for a damaged row."""
    if opened is None or opened.entry is None:
        return None
    return Truth(key_of(opened.entry), index, stands(opened.entry))
