"""Bundles and tiles against each other, and against the roots that were signed.

    bundle ── leaf hashes ══ tile 0 ── fold ══ a hash of the tile above ── … ══ signed root

Two neighbours that disagree are judged by the next one above: what folds to its hash is right, the other is damaged.
At the right edge, where nothing is above, the signed root judges. The walk goes on with what is right, so that each
damage is found once, where it is. The next bundles are read and hashed while these are looked at.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.store import fixes
from mintmark.tlog import bundle, tile
from mintmark.tlog.kernel import HASH, WIDTH, fold, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mintmark.mirror.fsck.damage import Findings
    from mintmark.mirror.fsck.notes import Mark
    from mintmark.store.fsck_store import FsckStore, StoredTile
    from mintmark.store.model import Log, TileKey
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.trust import Bundle

    Hashed = tuple[Bundle, bytes | Malformed]

AT_ONCE, MOST = 64, 8 * 2**20  # bundles and bytes read at once


@dataclass
class Read:
    """A run of bundles: `hashes` are the leaf hashes of [start, end) as far as they are known to be right.

    `sound` are the bundles whose entries are; the others are damaged, and `hashes` is of their tiles.
    """

    start: int
    end: int
    hashes: bytes
    sound: Sequence[Bundle]


@dataclass
class TreeCheck:
    """A walk over the entries of one log; `size` is how many entries the rows hold."""

    store: FsckStore
    log: Log
    marks: Sequence[Mark]  # by size
    size: int
    edge: Edge
    found: Findings
    bundles: set[int] = field(default_factory=set)  # the damaged ones
    contradicted: Mark | None = None
    _unsure: bool = False  # entries were met whose hashes nobody knows

    async def walk(self) -> AsyncIterator[Read]:
        """From the edge's size to the end, run by run."""
        marks = [mark for mark in self.marks if mark.size >= self.edge.size]
        ahead = asyncio.create_task(self._fetch(self.edge.size))
        try:
            while (start := self.edge.size) < self.size:
                stop, rows, tiles = await ahead
                ahead = asyncio.create_task(self._fetch(min(stop * WIDTH, self.size)))
                read = await self._read(start, stop, rows, tiles)
                await self._extend(read.hashes, marks)
                yield read
        finally:
            ahead.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await ahead
        self._compare([mark for mark in marks if mark.size == self.size])
        await self._edge_tiles()
        await self._strays()

    async def _fetch(self, start: int) -> tuple[int, dict[int, Hashed], Mapping[TileKey, StoredTile]]:
        """The next bundles as they are, with their hashes, and their tiles; and where they end."""
        first = start // WIDTH
        if start >= self.size:
            return first, {}, {}
        # The unfinished bundle comes alone: the edge that judges it ends where it begins.
        stop = max(min(self.size // WIDTH, first + AT_ONCE), first + 1)
        found = await self.store.bundles(self.log.id, first, stop, MOST)
        stop = found[-1].index + 1 if found else stop
        tiles = await self.store.tiles("tile", self.log.id, [(0, index) for index in range(first, stop)])
        return stop, await asyncio.to_thread(_hashed, found), tiles

    async def _read(
        self, start: int, stop: int, rows: Mapping[int, Hashed], tiles: Mapping[TileKey, StoredTile]
    ) -> Read:
        hashes, sound = [], []
        for index in range(start // WIDTH, stop):
            row = rows.get(index)
            hashes.append(await self._judge(index, row, tiles.get((0, index))))
            if row is not None and index not in self.bundles:
                sound.append(row[0])
        return Read(start, min(stop * WIDTH, self.size), b"".join(hashes), sound)

    async def _judge(self, index: int, row: Hashed | None, stored: StoredTile | None) -> bytes:
        """The leaf hashes of a bundle, by whichever of it and its tile is right."""
        width = tile.tile_width(0, index, self.size)
        said = self._leaves(index, row, width)
        kept = stored.hashes if stored is not None else b""
        if said == kept:
            self._check_width((0, index), stored, width)
            return kept
        upper = await self._above(0, index)
        if said is not None and (not _full(kept, width) or self._leads(said, upper, index)):
            self._tile_damage((0, index), stored, "other hashes than those of its entries", said)
            return said
        if _full(kept, width) and self._leads(kept, upper, index):
            if said is not None:
                self._bundle_damage(index, "entries: they do not have the hashes that were signed")
            return kept
        self._bundle_damage(index, "entries: neither they nor their tile lead to what was signed")
        self._tile_damage((0, index), stored, "neither its hashes nor the entries lead to what was signed", None)
        self._unsure = True
        return kept if _full(kept, width) else said or bytes(width * HASH)

    def _leaves(self, index: int, row: Hashed | None, width: int) -> bytes | None:
        """The leaf hashes that a bundle says; None where it says none."""
        if row is None:
            self._bundle_damage(index, "lost")
            return None
        stored, hashes = row
        if isinstance(hashes, Malformed) or len(hashes) != width * HASH:
            wrong = hashes if isinstance(hashes, Malformed) else f"{len(hashes) // HASH} entries where {width} belong"
            self._bundle_damage(index, f"entries: {wrong}")
            return None
        if stored.width != width:
            fix = fixes.Fix(fixes.WIDTH, (width, self.log.id, index))
            self.found("bundle", index, f"width: {stored.width} where {width} belong", fix)
        self._check_items(index, stored, width)
        return hashes

    def _check_items(self, index: int, row: Bundle, width: int) -> None:
        """As many items as entries, or none at all; what they are is `items`' to check."""
        try:
            if self.log.kind == "register":
                bundle.cut(row.items, width)
            elif row.items:
                raise Malformed("an opaque log has none")
        except Malformed as error:
            self._bundle_damage(index, f"items: {error}")

    async def _above(self, level: int, index: int) -> bytes:
        """The hash of a tile, as the tile above it says; nothing at the right edge."""
        upper = (level + 1, index // WIDTH)
        stored = (await self.store.tiles("tile", self.log.id, [upper])).get(upper)
        at = index % WIDTH * HASH
        if stored is None or tile.tile_width(level, index, self.size) < WIDTH:
            return b""
        return stored.hashes[at : at + HASH]

    def _leads(self, hashes: bytes, upper: bytes, index: int) -> bool:
        """Whether a bundle's hashes lead to what is above them: the next tile's hash, or at the edge a signed root."""
        if upper:
            return fold(hashes) == upper
        signed = {mark.root for mark in self.marks if mark.size == index * WIDTH + len(hashes) // HASH}
        return self.edge.size == index * WIDTH and self.edge.extend(hashes)[0].root() in signed

    def _bundle_damage(self, index: int, what: str) -> None:
        """A source mends it."""
        self.bundles.add(index)
        self.found("bundle", index, what)

    def _tile_damage(self, key: TileKey, stored: StoredTile | None, what: str, right: bytes | None) -> None:
        fix = None if right is None else fixes.tile("tile", self.log.id, key, right)
        self.found("tile", f"{key[0]}/{key[1]}", what if stored is not None else "lost", fix)

    def _check_width(self, key: TileKey, stored: StoredTile | None, width: int) -> None:
        if stored is not None and stored.width != width:
            self._tile_damage(key, stored, f"width: {stored.width} where {width} belong", stored.hashes)

    async def _extend(self, hashes: bytes, marks: list[Mark]) -> None:
        """Goes on by these leaves, stopping at each size that has a root; then compares the tiles that are full."""
        touched: dict[TileKey, bytes] = {}
        end = self.edge.size + len(hashes) // HASH
        while hashes:
            while marks and marks[0].size <= self.edge.size:
                self._compare([marks.pop(0)])
            stop = min(end, marks[0].size) if marks else end
            part, hashes = hashes[: (stop - self.edge.size) * HASH], hashes[(stop - self.edge.size) * HASH :]
            self.edge, tiles = self.edge.extend(part)
            touched.update(tiles)
        await self._check_tiles({key: tile for key, tile in touched.items() if key[0] and len(tile) == WIDTH * HASH})

    def _compare(self, marks: Sequence[Mark]) -> None:
        for mark in marks:
            if mark.size == self.edge.size and mark.root != self.edge.root() and not self._unsure:
                self.contradicted = self.contradicted or mark
                self.found(mark.table, mark.key, f"root: it is not that of the first {mark.size} entries")

    async def _check_tiles(self, computed: Mapping[TileKey, bytes]) -> None:
        stored = await self.store.tiles("tile", self.log.id, list(computed)) if computed else {}
        for key, hashes in computed.items():
            kept = stored.get(key)
            if kept is None or kept.hashes != hashes:
                right = None if self._unsure else hashes
                self._tile_damage(key, kept, "other hashes than those of the tiles below", right)
            else:
                self._check_width(key, kept, len(hashes) // HASH)

    async def _edge_tiles(self) -> None:
        """The unfinished tiles, at their last width; those of level 0 were judged with their bundle."""
        keys = [key for key in tile.edge_keys(self.edge.size) if key[0]]
        await self._check_tiles({(level, index): self.edge.tiles[level] for level, index in keys})

    async def _strays(self) -> None:
        """Rows beyond the end."""
        counts = tile_counts(self.size)
        for key in await self.store.stray_tiles("tile", self.log.id, counts):
            fix = fixes.no_tile("tile", self.log.id, key)
            self.found("tile", f"{key[0]}/{key[1]}", f"a tree of {self.size} entries has no such tile", fix)
        for index in await self.store.stray_rows("bundle", self.log.id, counts[0] if counts else 0):
            fix = fixes.no_row("bundle", self.log.id, index)
            self.found("bundle", index, f"a log of {self.size} entries has no such bundle", fix)


def tile_counts(size: int) -> list[int]:
    """How many tiles each level of a tree of `size` has."""
    return [-(-(size >> 8 * level) // WIDTH) for level in range(tile.levels(size))]


def _full(hashes: bytes, width: int) -> bool:
    return len(hashes) == width * HASH


def _hashed(rows: Sequence[Bundle]) -> dict[int, Hashed]:
    return {row.index: (row, _leaf_hashes(row.entries)) for row in rows}


def _leaf_hashes(entries: bytes) -> bytes | Malformed:
    try:
        return leaf_hashes(entries)
    except Malformed as error:
        return error
