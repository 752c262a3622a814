"""Registers: entries as in `register.entry`, in bundles as of an opaque log, with a bundle of items beside each.

A `VerifiedChunk` proves the leaves. Items are outside the tree, each bound by the hash in its leaf, so they are proven
here: no byte beside an entry passes that the entry does not bind. The meaning of proven bytes is another matter: a leaf
or an item that does not parse is in the log all the same, and is passed on without a meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError
from mintmark.register.entry import begins_register
from mintmark.register.kernel import open_rows
from mintmark.tlog import bundle, kernel, tile
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    from mintmark.register.entry import Row
    from mintmark.tlog.trust import Bundle, VerifiedChunk

cut_bundle, leaf_hashes = bundle.take, kernel.leaf_hashes


def tile_path(level: int, index: int, width: int) -> str:
    """`tile/<level>/<index>[.p/<width>]`."""
    return tile.path(tile.Tile(level, index, width))


def bundle_paths(index: int, width: int) -> tuple[str, ...]:
    """`tile/entries/<index>[.p/<width>]`, and the items of the same entries in `tile/items/<index>[.p/<width>]`."""
    return tile.entries_path(index, width), tile.items_path(index, width)


def begins_with(entries: bytes) -> bool:
    """True if the first entry is a register's. No signature says of which kind a log is: its first entry does."""
    try:
        (leaf,) = bundle.cut(bundle.take(entries, 1))
    except Malformed:
        return False
    return begins_register(leaf)


def open_chunk(chunk: VerifiedChunk) -> list[Row]:
    """The rows of the chunk's new entries [start, end), in order.

    Raises:
        ProofError: an item that its entry does not bind, or items not parallel to the entries; names the index.
    """
    rows: list[Row] = []
    for part in chunk.bundles:
        first = part.index * TILE_WIDTH
        start = max(chunk.start, first)
        at = (start - chunk.start) * HASH_BYTES
        rows += _open_bundle(part, start - first, chunk.hashes[at : at + (first + part.width - start) * HASH_BYTES])
    return rows


def _open_bundle(part: Bundle, skip: int, hashes: bytes) -> list[Row]:
    first = part.index * TILE_WIDTH
    try:
        return open_rows(first, skip, hashes, part.entries, part.items)
    except Malformed as error:
        raise ProofError(f"the items from index {first} on are not those of its entries: {error}") from None
