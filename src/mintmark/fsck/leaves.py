"""The check of a bundle against its tile: one of the two has the hashes that were signed.

The tile above decides: what folds to its hash is right, the other is damaged. At the right edge no tile is above, and a
signed root decides. Where the tile is lost and the one above does not agree with the bundle, the bundle is believed
until the next signed root tells which of them is wrong (`doubted`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.store.fsck import repairs
from mintmark.tlog import bundle, tile
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH, fold, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.fsck.findings import Findings
    from mintmark.fsck.notes import ClaimedRoot
    from mintmark.store.fsck.fsck_store import FsckStore, StoredTile
    from mintmark.store.log.model import Log, TileKey
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.trust import Bundle

HashedBundle = tuple["Bundle", bytes | Malformed]


@dataclass
class LeavesCheck:
    """The bundles of a log of `size`, with their tiles. `unsure`: the hashes of a bundle are unknown."""

    store: FsckStore
    log: Log
    roots: Sequence[ClaimedRoot]
    size: int
    found: Findings
    bundles: set[int] = field(default_factory=set)  # those to be restored
    doubted: dict[int, bytes] = field(default_factory=dict)  # bundle -> the hashes of its entries
    unsure: bool = False

    async def judge(self, index: int, row: HashedBundle | None, stored: StoredTile | None, edge: Edge) -> bytes:
        """The right leaf hashes of a bundle, from its entries or its tile; `edge` is the edge of all bundles before."""
        width = tile.tile_width(0, index, self.size)
        of_entries = self._leaves(index, row, width)
        of_tile = stored.hashes if stored is not None else b""
        if of_entries == of_tile:
            self.check_width((0, index), stored, width)
            return of_tile
        upper = await self._above(0, index)
        if of_entries is not None and self._leads(of_entries, upper, index, edge):
            self.tile_damage((0, index), stored, "other hashes than those of its entries", of_entries)
            return of_entries
        if len(of_tile) == width * HASH_BYTES and self._leads(of_tile, upper, index, edge):
            if of_entries is not None:
                self._bundle_damage(index, "entries: they do not have the hashes that were signed")
            return of_tile
        if of_entries is not None and len(of_tile) != width * HASH_BYTES:
            self.doubted[index] = of_entries
            return of_entries
        self.unsure = True
        self._neither(index, stored is None)
        return of_tile if len(of_tile) == width * HASH_BYTES else of_entries or bytes(width * HASH_BYTES)

    def believe(self) -> None:
        """Believes the doubted bundles: a signed root agrees with everything so far."""
        for index, hashes in self.doubted.items():
            self.tile_damage((0, index), None, "lost", hashes)
        self.doubted.clear()

    def doubt(self) -> None:
        """Gives the doubted bundles up: no signed root agrees, and a source must restore them."""
        for index in self.doubted:
            self._neither(index, True)
        self.unsure = self.unsure or bool(self.doubted)
        self.doubted.clear()

    def _neither(self, index: int, lost: bool) -> None:
        self._bundle_damage(index, "entries: neither they nor their tile lead to what was signed")
        what = "lost" if lost else "neither its hashes nor the entries lead to what was signed"
        self.found("tile", f"0/{index}", what)

    def _leaves(self, index: int, row: HashedBundle | None, width: int) -> bytes | None:
        """The leaf hashes of a bundle's entries; None where they cannot be read."""
        if row is None:
            self._bundle_damage(index, "lost")
            return None
        stored, hashes = row
        if isinstance(hashes, Malformed) or len(hashes) != width * HASH_BYTES:
            wrong = (
                hashes if isinstance(hashes, Malformed) else f"{len(hashes) // HASH_BYTES} entries where {width} belong"
            )
            self._bundle_damage(index, f"entries: {wrong}")
            return None
        if stored.width != width:
            fix = repairs.set_bundle_width(self.log.id, index, width)
            self.found("bundle", index, f"width: {stored.width} where {width} belong", fix)
        self._check_items(index, stored, width)
        return hashes

    def _check_items(self, index: int, row: Bundle, width: int) -> None:
        """Checks that a register has as many items as entries, and an opaque log none; `items` checks the items."""
        try:
            if self.log.kind == "register":
                bundle.cut(row.items, width)
            elif row.items:
                raise Malformed("an opaque log has none")
        except Malformed as error:
            self._bundle_damage(index, f"items: {error}")

    async def _above(self, level: int, index: int) -> bytes:
        """The hash of a tile in the tile above it; empty at the right edge."""
        upper = (level + 1, index // TILE_WIDTH)
        stored = (await self.store.tiles("tile", self.log.id, [upper])).get(upper)
        at = index % TILE_WIDTH * HASH_BYTES
        if stored is None or tile.tile_width(level, index, self.size) < TILE_WIDTH:
            return b""
        return stored.hashes[at : at + HASH_BYTES]

    def _leads(self, hashes: bytes, upper: bytes, index: int, edge: Edge) -> bool:
        """True if the hashes of a bundle fold to the hash above them or, at the edge, lead to a signed root."""
        if upper:
            return fold(hashes) == upper
        signed = {
            root.root
            for root in self.roots
            if root.signed and root.size == index * TILE_WIDTH + len(hashes) // HASH_BYTES
        }
        return edge.size == index * TILE_WIDTH and edge.extend(hashes)[0].root() in signed

    def _bundle_damage(self, index: int, what: str) -> None:
        """Notes a bundle that a source must restore."""
        self.bundles.add(index)
        self.found("bundle", index, what)

    def tile_damage(self, key: TileKey, stored: StoredTile | None, what: str, right: bytes | None) -> None:
        """Notes a damaged tile; `right` are its right hashes, None where nobody knows them."""
        fix = None if right is None else repairs.put_tile("tile", self.log.id, key, right)
        self.found("tile", f"{key[0]}/{key[1]}", what if stored is not None else "lost", fix)

    def check_width(self, key: TileKey, stored: StoredTile | None, width: int) -> None:
        """Checks the width beside a tile whose hashes are right."""
        if stored is not None and stored.width != width:
            self.tile_damage(key, stored, f"width: {stored.width} where {width} belong", stored.hashes)


def hash_bundles(rows: Sequence[Bundle]) -> dict[int, HashedBundle]:
    """Bundles by index, each with its leaf hashes or the error of its entries: all hashed at once."""
    counted = [(row, _count(row.entries)) for row in rows]
    hashes = BytesIO(leaf_hashes(b"".join([row.entries for row, count in counted if isinstance(count, int)])))
    return {
        row.index: (row, hashes.read(count * HASH_BYTES) if isinstance(count, int) else count) for row, count in counted
    }


def _count(entries: bytes) -> int | Malformed:
    try:
        return bundle.count_entries(entries)
    except Malformed as error:
        return error
