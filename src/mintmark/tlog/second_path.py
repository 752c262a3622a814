"""The second path to a root: the rows of a commit, checked from their bytes up before anything is signed.

A bit that flips in memory between the joining of entries and the commit ends a log: it has signed a tree that its
entries do not have. So each step is computed again, from the rows to be written instead of from their origins:

    bundles ── leaf hashes ──> tiles of level 0 ── fold ──> tiles above ── fold ──> root

The rows have to begin with the edge of the root that was signed before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed, WriteMismatch
from mintmark.tlog import bundle
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH, fold, leaf_hashes
from mintmark.tlog.tile import levels, tile_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.tlog.tile import Key
    from mintmark.tlog.trust import Bundle

    Tiles = Mapping[Key, bytes]


def check_write(before: Edge, old_root: bytes, bundles: Sequence[Bundle], tiles: Tiles, size: int, root: bytes) -> None:
    """Checks the rows that take a log from the edge `before`, signed as `old_root`, to `size` and `root`.

    `bundles` are whole rows in order, the first with the entries that it had before; `tiles` are all that are touched,
    as wide as they will be.

    Raises:
        WriteMismatch: a row does not agree with the rest. Nothing of this commit may be signed or written.
    """
    if before.root() != old_root or size < before.size:
        raise WriteMismatch(f"the edge of {before.size} entries is not that of the root signed, or is past {size}")
    touched = _touched(before.size, size)
    if len(tiles) != sum(map(len, touched)) or tiles.keys() != {
        (level, index) for level, indices in enumerate(touched) for index in indices
    }:
        raise WriteMismatch(f"these are not the tiles that change between {before.size} and {size} entries")
    held = {(level, before.size >> 8 * (level + 1)): hashes for level, hashes in enumerate(before.tiles)}
    try:
        _check_bundles(bundles, tiles)
        for key in tiles:
            _check_tile(key, tiles, held, before.size, size)
        written = Edge.load(size, {**held, **tiles}).root()
    except Malformed as error:
        raise WriteMismatch(f"a row to be written is malformed: {error}") from error
    if written != root:
        raise WriteMismatch(f"the rows to be written do not have the root to be signed at {size} entries")


def _touched(old_size: int, size: int) -> list[range]:
    """The indices of the tiles that get new hashes between two sizes, by level."""
    touched = []
    for level in range(levels(size)):
        first, end = old_size >> 8 * level, size >> 8 * level
        touched.append(range(first // TILE_WIDTH, -(-end // TILE_WIDTH)) if first < end else range(0))
    return touched


def _check_bundles(bundles: Sequence[Bundle], tiles: Tiles) -> None:
    """Each bundle has a tile of level 0 with its leaf hashes, and as many items as entries, if there are any."""
    if [row.index for row in bundles] != sorted(index for level, index in tiles if level == 0):
        raise WriteMismatch("the bundles and the tiles of level 0 are not parallel")
    for row in bundles:
        hashes = leaf_hashes(row.entries)
        if hashes != tiles[0, row.index] or len(hashes) != row.width * HASH_BYTES:
            raise WriteMismatch(f"the entries of bundle {row.index} do not have the hashes of its tile")
        if row.items:
            bundle.cut(row.items, row.width)


def _check_tile(key: Key, tiles: Tiles, held: Tiles, old_size: int, size: int) -> None:
    """A tile is as wide as the size says, begins as it was, and goes on with the roots of the tiles below it."""
    (level, index), hashes = key, tiles[key]
    if len(hashes) != tile_width(level, index, size) * HASH_BYTES or not hashes.startswith(held.get(key, b"")):
        raise WriteMismatch(f"tile {level}/{index} is of another width, or does not begin as before")
    if level == 0:
        return  # compared with its bundle
    for at in range(max(0, (old_size >> 8 * level) - TILE_WIDTH * index), len(hashes) // HASH_BYTES):
        if hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES] != fold(tiles[level - 1, TILE_WIDTH * index + at]):
            raise WriteMismatch(f"hash {at} of tile {level}/{index} is not the root of the tile below it")
