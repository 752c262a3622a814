"""Logs of any bytes: tiles and entry bundles as in C2SP tlog-tiles. Entries have no meaning, and so no rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.formats.register import begins_with as begins_register
from mintmark.tlog import bundle, kernel, tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.register.entry import Row
    from mintmark.tlog.trust import VerifiedChunk

cut_bundle, leaf_hashes = bundle.take, kernel.leaf_hashes


def tile_path(level: int, index: int, width: int) -> str:
    """`tile/<level>/<index>[.p/<width>]`."""
    return tile.path(tile.Tile(level, index, width))


def bundle_paths(index: int, width: int) -> tuple[str, ...]:
    """`tile/entries/<index>[.p/<width>]`."""
    return (tile.entries_path(index, width),)


def begins_with(entries: bytes) -> bool:
    """True unless the first entry is a register's: no opaque log may begin so, for nothing else tells them apart."""
    return not begins_register(entries)


def open_chunk(chunk: VerifiedChunk) -> Sequence[Row]:
    """No rows."""
    return ()
