"""From a verified chunk of a register log to its entries and items.

A `VerifiedChunk` proves the leaves. Items are outside the tree, each bound by the hash in its leaf, so they are proven
here: no byte beside an entry that the entry does not bind gets through. What the proven bytes say is another matter: a
leaf or an item that does not parse is in the log all the same, and is passed on without a meaning.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, ProofError
from mintmark.register.entry import parse_entry
from mintmark.register.item import parse_item
from mintmark.tlog import bundle
from mintmark.tlog.kernel import HASH, WIDTH

if TYPE_CHECKING:
    from mintmark.register.entry import Entry
    from mintmark.tlog.trust import VerifiedChunk


class Row(NamedTuple):
    """An entry of a register log.

    `entry` is None for a leaf that is no register entry. It does not depend on the item, which may be erased one day.
    `item` is None for a tombstone, for bytes that are no item, and where it is `missing`: named by the leaf, not sent.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a row
    leaf_hash: bytes
    entry: Entry | None
    item: bytes | None
    missing: bool


def open_chunk(chunk: VerifiedChunk) -> list[Row]:
    """The chunk's new entries [start, end), in order.

    Raises:
        ProofError: an item that its entry does not bind, or items not parallel to the entries; names the index.
    """
    rows = []
    for part in chunk.bundles:
        first = part.index * WIDTH
        leaves, items = bundle.cut(part.entries), _items(first, part.width, part.items)
        for offset in range(max(0, chunk.start - first), len(leaves)):
            index = first + offset
            at = (index - chunk.start) * HASH
            rows.append(_open_row(index, chunk.hashes[at : at + HASH], leaves[offset], items[offset]))
    return rows


def _items(first: int, width: int, items: bytes) -> list[bytes]:
    try:
        return bundle.cut(items, width)
    except Malformed as error:
        raise ProofError(f"the items from index {first} on are not those of its {width} entries: {error}") from None


def _open_row(index: int, leaf_hash: bytes, leaf: bytes, item: bytes) -> Row:
    try:
        entry = parse_entry(leaf)
    except Malformed:
        entry = None
    digest = entry.item_hash if entry else None
    if not item:
        return Row(index, leaf_hash, entry, None, digest is not None)
    if digest != sha256(item).digest():
        raise ProofError(f"entry {index}: the item beside it is not the one that it names")
    return Row(index, leaf_hash, entry, item if _is_item(item) else None, False)


def _is_item(data: bytes) -> bool:
    try:
        parse_item(data)
    except Malformed:
        return False
    return True
