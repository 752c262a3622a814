"""Tiles: 256 hashes of one level of the tree, and their paths (C2SP tlog-tiles).

Hash i of tile (level, index) is the root over the 256^level entries from (256 index + i) 256^level on. A tile that is
not full yet has a `width` below 256, and is a prefix of the wider one that will take its place. Only full tiles have a
hash one level up, so a tree of 70,000 entries has these:

    level 2   1 partial tile,  1 hash:    tile/2/000.p/1
    level 1   1 full tile,     1 partial: tile/1/000  tile/1/001.p/17
    level 0   273 full tiles,  1 partial: tile/0/000 …  tile/0/273.p/112

Bundles of 256 entries have paths of the same form, `tile/entries/…`; the items of a register are beside them, in
`tile/items/…`. Paths are parsed by printing again what was read: one tile, one path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

Key = tuple[int, int]  # (level, index): a tile whatever its width

MAX_TILE_LEVEL = 63

_PATH = re.compile(r"tile/(entries|items|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


class Tile(NamedTuple):
    """A tile of `width` hashes, 1 to 256."""

    level: int
    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a tile
    width: int = TILE_WIDTH


def tile_width(level: int, index: int, size: int) -> int:
    """The number of hashes that tile (level, index) holds in a tree of `size`: 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> 8 * level) - TILE_WIDTH * index))


def edge_keys(size: int) -> list[Key]:
    """The unfinished tiles of a tree of `size`, lowest level first. They are all that is needed to append to it."""
    keys = [(level, size >> 8 * (level + 1)) for level in range(levels(size))]
    return [key for key in keys if tile_width(*key, size)]


def levels(size: int) -> int:
    """The number of levels of tiles in a tree of `size`: its digits in base 256."""
    return (size.bit_length() + 7) // 8


def path(tile: Tile) -> str:
    """`tile/<level>/<index>[.p/<width>]`.

    Raises:
        Malformed: there is no such tile.
    """
    if not 0 <= tile.level <= MAX_TILE_LEVEL:
        raise Malformed(f"tile level {tile.level}: it is 0 to {MAX_TILE_LEVEL}")
    return f"tile/{tile.level}/{_position(tile.index, tile.width)}"


def parse_path(text: str) -> Tile:
    """The tile at a path.

    Raises:
        Malformed: anything that `path` would not have printed.
    """
    kind, index, width = _parse(text)
    if not kind.isdecimal() or path(tile := Tile(int(kind), index, width)) != text:
        raise Malformed(f"not the path of a tile: {text!r}")
    return tile


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """`tile/entries/<index>[.p/<width>]`, of an entry bundle.

    Raises:
        Malformed: there is no such bundle.
    """
    return f"tile/entries/{_position(index, width)}"


def parse_entries_path(text: str) -> tuple[int, int]:
    """The (index, width) of the entry bundle at a path.

    Raises:
        Malformed: anything that `entries_path` would not have printed.
    """
    return _parse_bundle(text, entries_path, "an entry bundle")


def items_path(index: int, width: int = TILE_WIDTH) -> str:
    """`tile/items/<index>[.p/<width>]`, of the bundle of items that is parallel to an entry bundle.

    Raises:
        Malformed: there is no such bundle.
    """
    return f"tile/items/{_position(index, width)}"


def parse_items_path(text: str) -> tuple[int, int]:
    """The (index, width) of the bundle of items at a path.

    Raises:
        Malformed: anything that `items_path` would not have printed.
    """
    return _parse_bundle(text, items_path, "a bundle of items")


def _parse_bundle(text: str, path_of: Callable[[int, int], str], what: str) -> tuple[int, int]:
    _, index, width = _parse(text)
    if path_of(index, width) != text:
        raise Malformed(f"not the path of {what}: {text!r}")
    return index, width


def _position(index: int, width: int) -> str:
    if not (0 <= index < 1 << 63 and 1 <= width <= TILE_WIDTH):
        raise Malformed(f"tile index {index}, width {width}: a width is 1 to {TILE_WIDTH}")
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == TILE_WIDTH else f".p/{width}")


def _parse(text: str) -> tuple[str, int, int]:
    """Kind, index and width of a path; the caller prints them again to check the spelling."""
    if not (match := _PATH.fullmatch(text)):
        raise Malformed(f"not the path of a tile or of entries: {text!r}")
    kind, index, width = match.groups()
    return kind, int(re.sub("[x/]", "", index)), TILE_WIDTH if width is None else int(width)
