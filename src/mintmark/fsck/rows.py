"""The check of the projection against the entries: every column of every row, in one pass.

The rows of a chunk are projected again and compared as the bytes of a COPY; only rows that differ are taken apart. That
an entry is superseded is known later, when the next entry of its key comes: then the earlier row is looked up. Wrong
rows are left out of such lookups, and replaced by what they should say, so that one damage is one finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from mintmark.errors import MintmarkError
from mintmark.fsck.tree import tile_counts
from mintmark.register.reduce import RunningCounts, count_standing, key_of, project, stands
from mintmark.store.fsck import repairs
from mintmark.store.mirror.copy_rows import COLUMNS, entry_rows, row_parameters, row_values, split_rows, whole_leaf_rows
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mintmark.fsck.findings import Findings
    from mintmark.register.entry import Row
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.fsck.repairs import Fix
    from mintmark.store.log.model import Log, TileKey

    Key = tuple[str, str]

MAX_DAMAGED_ROWS = 10_000  # of more, all rows are written again instead


@dataclass(frozen=True, slots=True)
class ExpectedRow:
    """The right values of a damaged row, as far as other rows depend on them."""

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
    _bad: dict[int, ExpectedRow | None] = field(default_factory=dict)

    @classmethod
    async def begin(cls, store: FsckStore, log: Log, start: int, found: Findings) -> RowsCheck:
        """A check ready for the entry at `start`. Raises MintmarkError where the row before it is lost."""
        counts = RunningCounts()
        if start and log.kind == "register":
            if (stored := await store.counts(log.id, start - 1)) is None:
                raise MintmarkError(f"entry {start - 1} of {log.origin} is damaged; run fsck without --since")
            number, live = stored
            tiles = await store.tiles("v1_tile", log.id, tile.edge_keys(number))
            counts = RunningCounts(live, Edge.load(number, {key: stored.hashes for key, stored in tiles.items()}))
        return cls(store, log, counts, found)

    @property
    def too_many(self) -> bool:
        """True if so many rows are wrong that all of them should be written again."""
        return len(self._bad) > MAX_DAMAGED_ROWS

    async def leaves(self, start: int, hashes: bytes) -> None:
        """Compares the rows of an opaque log."""
        end = start + len(hashes) // HASH_BYTES
        if await self.store.leaves(self.log.id, start, end) == hashes:
            return
        stored = await self.store.entries(self.log.id, start, end)
        self._compare(whole_leaf_rows(self.log.id, start, hashes), split_rows(stored), range(start, end), [])

    async def rows(self, rows: Sequence[Row], unknown: Collection[int] = ()) -> None:
        """Compares the next rows of a register; the items at `unknown` indices are not known."""
        projected = project(self.counts.v1, [row._replace(item=None) for row in rows])
        start, end = rows[0].index, rows[-1].index + 1
        prior = await self._prior(projected.first_keys, start)
        stood = {truth.key[1] for truth in prior if truth.stood and truth.key[0] == "user"}
        live = count_standing(rows, stood, self.counts.live)
        expected = entry_rows(self.log.id, projected.rows, projected.following, projected.number, live)
        stored = await self.store.entries(self.log.id, start, end)
        if stored != expected:
            self._compare(split_rows(expected), split_rows(stored), range(start, end), rows)
        await self._items([row for row in rows if row.index not in unknown], start, end)
        await self._v1_tiles(
            {key: hashes for key, hashes in projected.v1_tiles.items() if len(hashes) == TILE_WIDTH * HASH_BYTES}
        )
        self.counts = RunningCounts(live[-1], projected.v1)

    async def finish(self, size: int) -> None:
        """Checks what only the end tells: unfinished v1 tiles, rows beyond the end, wrong values of superseded_by."""
        for index in await self.store.stray_rows("entry", self.log.id, size):
            self.found(
                "entry",
                index,
                f"a log of {size} entries has no such row",
                repairs.delete_row("entry", self.log.id, index),
            )
        if self.log.kind == "register":
            v1 = self.counts.v1
            await self._v1_tiles({(level, index): v1.tiles[level] for level, index in tile.edge_keys(v1.size)})
        counts = tile_counts(self.counts.number)
        for key in await self.store.stray_tiles("v1_tile", self.log.id, counts):
            what = f"a tree of {self.counts.number} entries has no such tile"
            self.found("v1_tile", f"{key[0]}/{key[1]}", what, repairs.delete_tile("v1_tile", self.log.id, key))
        if self.log.kind == "register":
            await self._stale(size)

    def _compare(self, expected: Sequence[bytes], stored: Sequence[bytes], indices: range, rows: Sequence[Row]) -> None:
        """Names the columns of the rows that differ."""
        kept = {row_values(row)["index"]: row for row in stored}
        for index, row in zip(indices, expected, strict=True):
            if wrong := _differences(row, kept[index]) if index in kept else "lost":
                opened = rows[index - indices.start] if rows else None
                self.found("entry", index, wrong, self._row_fix(row, opened))
                self._bad[index] = _truth(index, opened)
            if self.too_many:
                what = f"{MAX_DAMAGED_ROWS:,} rows before it are wrong; those behind it were not checked"
                self.found("entry", f"{index}-", what)
                return

    async def _prior(self, first: Mapping[Key, int], start: int) -> list[ExpectedRow]:
        """The last entry of each key before `start`; it is to be superseded by the key's first entry from there on."""
        if not first or not start:
            return []
        found = {}
        for type_, key, index, stood, by in await self.store.prior(self.log.id, first, start, list(self._bad)):
            found[type_, key] = ExpectedRow((type_, key), index, stood)
            if by != first[type_, key] and not self._misled(found[type_, key]):
                what = f"superseded_by: {by} where {first[type_, key]} belongs"
                self.found("entry", index, what, self._superseded_fix(index))
        for truth in self._bad.values():
            if truth is not None and truth.key in first:
                known = found.get(truth.key)
                if truth.index < start and (known is None or known.index < truth.index):
                    found[truth.key] = truth
        return list(found.values())

    def _misled(self, found: ExpectedRow) -> bool:
        """True if a damaged row of the same key comes after this one, and supersedes it."""
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
                fix = repairs.set_entry_item(self.log.id, row.index, right)
                self.found("entry", row.index, "item: it is not the one that its bundle has", fix)

    async def _v1_tiles(self, computed: Mapping[TileKey, bytes]) -> None:
        stored = await self.store.tiles("v1_tile", self.log.id, list(computed)) if computed else {}
        for key, hashes in computed.items():
            kept, name, width = stored.get(key), f"{key[0]}/{key[1]}", len(hashes) // HASH_BYTES
            fix = repairs.put_tile("v1_tile", self.log.id, key, hashes)
            if kept is None:
                self.found("v1_tile", name, "lost", fix)
            elif kept.hashes != hashes:
                self.found("v1_tile", name, "other hashes than those of the user entries", fix)
            elif kept.width != width:
                self.found("v1_tile", name, f"width: {kept.width} where {width} belong", fix)

    async def _stale(self, size: int) -> None:
        """Finds the rows that no later entry of their key supersedes, though they say so."""
        for index, by, type_, key in await self.store.wrongly_superseded(self.log.id):
            named = self._bad.get(by)
            if index in self._bad or index >= size or (named is not None and named.key == (type_, key)):
                continue
            what = f"superseded_by: {by}, which is no later entry of its key"
            self.found("entry", index, what, self._superseded_fix(index))

    def _superseded_fix(self, index: int) -> Fix:
        return repairs.set_superseded(self.log.id, index)

    def _row_fix(self, row: bytes, opened: Row | None) -> Fix:
        values: dict[str, object] = dict(row_parameters(row))
        values["item"] = opened.item.decode() if opened is not None and opened.item is not None else None
        return repairs.put_entry(values)


def _truth(index: int, opened: Row | None) -> ExpectedRow | None:
    """The right values of a damaged row; None where its leaf is no entry."""
    if opened is None or opened.entry is None:
        return None
    return ExpectedRow(key_of(opened.entry), index, stands(opened.entry))


def _differences(expected: bytes, stored: bytes) -> str:
    """For each column that differs, the stored and the right value; empty if none does."""
    right, kept = row_values(expected), row_values(stored)
    return "; ".join(
        f"{name}: {_show(kept[name])} where {_show(right[name])} belongs"
        for name in COLUMNS
        if right[name] != kept[name]
    )


def _show(value: bytes | int | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, int):
        return str(value)
    return value.hex() if len(value) == HASH_BYTES else repr(value.decode("utf-8", "backslashreplace"))
