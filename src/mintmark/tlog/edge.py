"""The right edge of a tree: all that is needed to append to it and to know its root.

    tiles[k] is the unfinished tile of level k. Their widths count in base 256: a tile that fills up is cleared, and its
    root is carried to the next level.

An Edge is a value. Appending gives another one; to go back is to keep the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.tlog.kernel import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, TILE_WIDTH, fold, fold_tiles
from mintmark.tlog.tile import levels, tile_width

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from mintmark.tlog.tile import Key

_FULL = TILE_WIDTH * HASH_BYTES


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of the tree of the first `size` entries. Made by `extend` and `load`."""

    size: int = 0
    tiles: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, size: int, tiles: Mapping[Key, bytes]) -> Self:
        """The edge of `size`, given at least the tiles of `edge_keys(size)`; wider ones are cut.

        Raises:
            Malformed: a size that no log has, or a tile that is missing or too narrow.
        """
        if not 0 <= size <= MAX_SIZE:
            raise Malformed(f"size {size}: it is 0 to 2^63 - 1")
        return cls(size, tuple(_cut(tiles, level, size) for level in range(levels(size))))

    def extend(self, hashes: bytes, roots: bytes | None = None) -> tuple[Edge, dict[Key, bytes]]:
        """The edge after these leaf hashes, and every tile that they touched, as wide as it is then.

        `roots` are those of the level-0 tiles that fill up, where they are known.

        Raises:
            Malformed: not whole hashes, or more entries than a log can have.
        """
        size = self.size + len(hashes) // HASH_BYTES
        if len(hashes) % HASH_BYTES or size > MAX_SIZE:
            raise Malformed(f"{len(hashes)} bytes of hashes cannot follow {self.size} entries")
        tiles, level = list(self.tiles), 0
        touched: dict[Key, bytes] = {}
        while hashes:
            data = tiles[level] + hashes if level < len(tiles) else hashes
            rows, first = range(0, len(data), _FULL), self.size >> 8 * (level + 1)
            touched.update({(level, first + i): data[at : at + _FULL] for i, at in enumerate(rows)})
            full = len(data) - len(data) % _FULL
            tiles[level : level + 1] = [data[full:]]
            hashes, roots, level = fold_tiles(data[:full]) if roots is None else roots, None, level + 1
        return Edge(size, tuple(tiles)), touched

    def root(self) -> bytes:
        """The root of the tree (RFC 6962 section 2.1): each level's hashes, then what is below them, folded."""
        below = b""
        for hashes in self.tiles:
            if hashes or below:
                below = fold(hashes + below)
        return below or EMPTY_ROOT


def _cut(tiles: Mapping[Key, bytes], level: int, size: int) -> bytes:
    index = size >> 8 * (level + 1)
    end = tile_width(level, index, size) * HASH_BYTES
    hashes = tiles.get((level, index), b"")[:end]
    if len(hashes) != end:
        raise Malformed(f"tile {level}/{index} has {len(hashes)} bytes; a tree of {size} needs {end}")
    return hashes
