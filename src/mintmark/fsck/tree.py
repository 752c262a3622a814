"""The check of bundles and tiles against each other, and against the signed roots.

    bundle ── leaf hashes ══ tile 0 ── fold ══ a hash of the tile above ── … ══ signed root

`leaves` judges a bundle and its tile. The walk goes on with the right one, so that each damage is found once, at its
place. While some bundles are checked, the next are hashed in a thread, and those after them are read.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.aio import prefetch
from mintmark.fsck.leaves import LeavesCheck, hash_bundles
from mintmark.store.fsck import repairs
from mintmark.tlog import tile
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from mintmark.fsck.findings import Findings
    from mintmark.fsck.leaves import HashedBundle
    from mintmark.fsck.notes import ClaimedRoot
    from mintmark.store.fsck.fsck_store import FsckStore, StoredTile
    from mintmark.store.log.model import Log, TileKey
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.trust import Bundle

MAX_READ_BUNDLES, MAX_READ_BYTES = 64, 8 * 2**20  # of one query


@dataclass
class LeafRun:
    """A run of bundles with the leaf hashes of [start, end), as far as they are known.

    `sound` are the bundles with right entries; of the others, `hashes` holds what their tiles say.
    """

    start: int
    end: int
    hashes: bytes
    sound: Sequence[Bundle]


class StoredRun(NamedTuple):
    """Bundles [first, stop) as they are stored, and their tiles."""

    first: int
    stop: int
    rows: Sequence[Bundle]
    tiles: Mapping[TileKey, StoredTile]


class TreeCheck:
    """A walk over the entries of one log from the size of `edge` on; `size` is the number of entries in the rows."""

    def __init__(
        self, store: FsckStore, log: Log, roots: Sequence[ClaimedRoot], size: int, edge: Edge, found: Findings
    ) -> None:
        self.size, self.edge, self._start = size, edge, edge.size
        self.leaves = LeavesCheck(store, log, roots, size, found)
        self.contradicted: ClaimedRoot | None = None
        self._store, self._log, self._found = store, log, found
        self._roots = sorted((root for root in roots if root.size >= edge.size), key=lambda root: root.size)

    async def walk(self) -> AsyncGenerator[LeafRun, None]:
        """Walks to the end, run by run."""
        async with aclosing(prefetch(self._hashed())) as runs:
            async for stored, rows in runs:
                read = await self._read(stored, rows)
                await self._extend(read.hashes)
                yield read
        self._compare()
        self.leaves.doubt()
        await self._edge_tiles()
        await self._strays()

    async def _hashed(self) -> AsyncGenerator[tuple[StoredRun, Mapping[int, HashedBundle]], None]:
        async with aclosing(prefetch(self._stored(self.edge.size // TILE_WIDTH))) as runs:
            async for stored in runs:
                yield stored, await asyncio.to_thread(hash_bundles, stored.rows)

    async def _stored(self, first: int) -> AsyncGenerator[StoredRun, None]:
        while first * TILE_WIDTH < self.size:
            # The unfinished bundle comes alone: the edge that judges it ends where it begins.
            stop = max(min(self.size // TILE_WIDTH, first + MAX_READ_BUNDLES), first + 1)
            found = await self._store.bundles(self._log.id, first, stop, MAX_READ_BYTES)
            stop = found[-1].index + 1 if found else stop
            tiles = await self._store.tiles("tile", self._log.id, [(0, index) for index in range(first, stop)])
            yield StoredRun(first, stop, found, tiles)
            first = stop

    async def _read(self, stored: StoredRun, rows: Mapping[int, HashedBundle]) -> LeafRun:
        hashes, sound = [], []
        for index in range(stored.first, stored.stop):
            row = rows.get(index)
            hashes.append(await self.leaves.judge(index, row, stored.tiles.get((0, index)), self.edge))
            if row is not None and index not in self.leaves.bundles and index not in self.leaves.doubted:
                sound.append(row[0])
        return LeafRun(stored.first * TILE_WIDTH, min(stored.stop * TILE_WIDTH, self.size), b"".join(hashes), sound)

    async def _extend(self, hashes: bytes) -> None:
        """Extends the edge by these leaves, with a stop at each size that has a root; then checks the full tiles."""
        touched: dict[TileKey, bytes] = {}
        end = self.edge.size + len(hashes) // HASH_BYTES
        while hashes:
            self._compare()
            stop = min(end, self._roots[0].size) if self._roots else end
            part, hashes = (
                hashes[: (stop - self.edge.size) * HASH_BYTES],
                hashes[(stop - self.edge.size) * HASH_BYTES :],
            )
            self.edge, tiles = await asyncio.to_thread(self.edge.extend, part)
            touched.update(tiles)
        await self._check_tiles(
            {key: tile for key, tile in touched.items() if key[0] and len(tile) == TILE_WIDTH * HASH_BYTES}
        )

    def _compare(self) -> None:
        """Compares the roots of this size."""
        while self._roots and self._roots[0].size <= self.edge.size:
            root = self._roots.pop(0)
            if root.size == self.edge.size and not self.leaves.unsure:
                self._compare_root(root)

    def _compare_root(self, root: ClaimedRoot) -> None:
        if root.root == self.edge.root():
            if root.signed:
                self.leaves.believe()
        elif not root.signed:
            self._found(root.table, root.key, f"note: by a key that is not here, of another root at size {root.size}")
        elif self.leaves.doubted:
            self.leaves.doubt()
        else:
            self.contradicted = self.contradicted or root
            hint = f"; run fsck without --since: entries before {self._start} were not read" if self._start else ""
            self._found(root.table, root.key, f"root: it is not that of the first {root.size} entries{hint}")

    async def _check_tiles(self, computed: Mapping[TileKey, bytes]) -> None:
        stored = await self._store.tiles("tile", self._log.id, list(computed)) if computed else {}
        for key, hashes in computed.items():
            kept = stored.get(key)
            if kept is None or kept.hashes != hashes:
                right = None if self.leaves.unsure or self.leaves.doubted else hashes
                self.leaves.tile_damage(key, kept, "other hashes than those of the tiles below", right)
            else:
                self.leaves.check_width(key, kept, len(hashes) // HASH_BYTES)

    async def _edge_tiles(self) -> None:
        """Checks the unfinished tiles at their last width; `leaves` judged those of level 0."""
        keys = [key for key in tile.edge_keys(self.edge.size) if key[0]]
        await self._check_tiles({(level, index): self.edge.tiles[level] for level, index in keys})

    async def _strays(self) -> None:
        """Finds the rows beyond the end."""
        counts = tile_counts(self.size)
        for key in await self._store.stray_tiles("tile", self._log.id, counts):
            fix = repairs.delete_tile("tile", self._log.id, key)
            self._found("tile", f"{key[0]}/{key[1]}", f"a tree of {self.size} entries has no such tile", fix)
        for index in await self._store.stray_rows("bundle", self._log.id, counts[0] if counts else 0):
            fix = repairs.delete_row("bundle", self._log.id, index)
            self._found("bundle", index, f"a log of {self.size} entries has no such bundle", fix)


def tile_counts(size: int) -> list[int]:
    """The number of tiles at each level of a tree of `size`."""
    return [-(-(size >> 8 * level) // TILE_WIDTH) for level in range(tile.levels(size))]
