"""Bundles and tiles against each other, and against the roots that were signed.

    bundle ── leaf hashes ══ tile 0 ── fold ══ a hash of the tile above ── … ══ signed root

Two neighbours that disagree are judged by the next one above: what folds to its hash is right, the other is damaged.
At the right edge, where nothing is above, the signed root judges. The walk goes on with what is right, so that each
damage is found once, where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.mirror.fsck.damage import Damage
from mintmark.tlog import bundle, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH, WIDTH, fold, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mintmark.mirror.fsck.notes import Mark
    from mintmark.store.fsck_store import FsckStore, StoredTile
    from mintmark.store.model import Log, TileKey
    from mintmark.tlog.trust import Bundle

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
    """A walk over the entries of one log. `damages` grows; `size` is how many entries the rows hold."""

    store: FsckStore
    log: Log
    marks: Sequence[Mark]  # by size
    size: int
    edge: Edge = field(default_factory=Edge)
    damages: list[Damage] = field(default_factory=list)
    bundles: set[int] = field(default_factory=set)  # the damaged ones
    contradicted: Mark | None = None
    _unsure: bool = False  # entries were met whose hashes nobody knows

    def found(self, table: str, key: str, what: str) -> None:
        """Notes a damage."""
        self.damages.append(Damage(self.log.origin, table, key, what))

    async def walk(self) -> AsyncIterator[Read]:
        """From the edge's size to the end, run by run."""
        marks = [mark for mark in self.marks if mark.size >= self.edge.size]
        while (start := self.edge.size) < self.size:
            read = await self._read(start)
            await self._extend(read.hashes, marks)
            yield read
        self._compare([mark for mark in marks if mark.size == self.size])
        await self._edge_tiles()
        await self._strays()

    async def _read(self, start: int) -> Read:
        first = start // WIDTH
        stop = max(
            min(self.size // WIDTH, first + AT_ONCE), first + 1
        )  # the unfinished bundle alone: the edge that judges it ends where it begins
        found = await self.store.bundles(self.log.id, first, stop, MOST)
        stop = found[-1].index + 1 if found else stop
        rows = {row.index: row for row in found}
        tiles = await self.store.tiles("tile", self.log.id, [(0, index) for index in range(first, stop)])
        hashes, sound = [], []
        for index in range(first, stop):
            right = await self._judge(index, rows.get(index), tiles.get((0, index)))
            hashes.append(right)
            if index not in self.bundles:
                sound.append(rows[index])
        return Read(start, min(stop * WIDTH, self.size), b"".join(hashes), sound)

    async def _judge(self, index: int, row: Bundle | None, stored: StoredTile | None) -> bytes:
        """The leaf hashes of a bundle, by whichever of it and its tile is right."""
        width = tile.tile_width(0, index, self.size)
        said = self._leaves(index, row, width)
        kept = stored.hashes if stored is not None else b""
        if said == kept:
            self._check_width(0, index, stored, width)
            return kept
        upper = await self._above(0, index)
        if said is not None and (not self._full(kept, width) or self._leads(said, upper, index)):
            self._tile_damage(0, index, stored, "other hashes than those of its entries")
            return said
        if self._full(kept, width) and self._leads(kept, upper, index):
            if said is not None:
                self._bundle_damage(index, "entries: they do not have the hashes that were signed")
            return kept
        self._bundle_damage(index, "entries: neither they nor their tile lead to what was signed")
        self._tile_damage(0, index, stored, "neither its hashes nor the entries lead to what was signed")
        self._unsure = True
        return kept if self._full(kept, width) else said or bytes(width * HASH)

    def _leaves(self, index: int, row: Bundle | None, width: int) -> bytes | None:
        """The leaf hashes that a bundle says; None where it says none."""
        if row is None:
            self._bundle_damage(index, "lost")
            return None
        try:
            hashes = leaf_hashes(row.entries)
            if len(hashes) != width * HASH:
                raise Malformed(f"{len(hashes) // HASH} entries where {width} belong")
        except Malformed as error:
            self._bundle_damage(index, f"entries: {error}")
            return None
        if row.width != width:
            self.found("bundle", str(index), f"width: {row.width} where {width} belong")
        self._check_items(index, row, width)
        return hashes

    def _check_items(self, index: int, row: Bundle, width: int) -> None:
        """As many items as entries, or none at all; what they are is `rows`' and `mint`'s to check."""
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

    @staticmethod
    def _full(hashes: bytes, width: int) -> bool:
        return len(hashes) == width * HASH

    def _bundle_damage(self, index: int, what: str) -> None:
        self.bundles.add(index)
        self.found("bundle", str(index), what)

    def _tile_damage(self, level: int, index: int, stored: StoredTile | None, what: str) -> None:
        self.found("tile", f"{level}/{index}", what if stored is not None else "lost")

    def _check_width(self, level: int, index: int, stored: StoredTile | None, width: int) -> None:
        if stored is not None and stored.width != width:
            self.found("tile", f"{level}/{index}", f"width: {stored.width} where {width} belong")

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
        for (level, index), hashes in computed.items():
            kept = stored.get((level, index))
            if kept is None or kept.hashes != hashes:
                self._tile_damage(level, index, kept, "other hashes than those of the tiles below")
            else:
                self._check_width(level, index, kept, len(hashes) // HASH)

    async def _edge_tiles(self) -> None:
        """The unfinished tiles, at their last width; those of level 0 were judged with their bundle."""
        keys = [key for key in tile.edge_keys(self.edge.size) if key[0]]
        await self._check_tiles({(level, index): self.edge.tiles[level] for level, index in keys})

    async def _strays(self) -> None:
        """Rows beyond the end."""
        counts = tile_counts(self.size)
        for level, index in await self.store.stray_tiles("tile", self.log.id, counts):
            self.found("tile", f"{level}/{index}", f"a tree of {self.size} entries has no such tile")
        for index in await self.store.stray_rows("bundle", self.log.id, counts[0] if counts else 0):
            self.found("bundle", str(index), f"a log of {self.size} entries has no such bundle")


def tile_counts(size: int) -> list[int]:
    """How many tiles each level of a tree of `size` has."""
    return [-(-(size >> 8 * level) // WIDTH) for level in range(tile.levels(size))]
