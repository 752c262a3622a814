"""The hot functions of a register: a whole bundle or batch at a time.

Rules: bytes and rows in, bytes and rows out. The grammar is that of `entry.parse_entry` and `item.parse_item`. A native
twin may take the place of the functions at the bottom of this module; the Python stays, as its oracle.
"""

from __future__ import annotations

from hashlib import sha256

from mintmark.errors import Malformed, ProofError
from mintmark.register.entry import Row, parse_entry, v1_leaf
from mintmark.register.item import parse_item
from mintmark.tlog import kernel
from mintmark.tlog.kernel import HASH_BYTES


def open_rows(first: int, skip: int, hashes: bytes, entries: bytes, items: bytes) -> list[Row]:
    """The rows of a bundle that begins at index `first`, but for its first `skip`.

    `hashes` are the leaf hashes of those rows; `items`, the bundle parallel to `entries`.

    Raises:
        Malformed: entries, items and hashes are not parallel.
        ProofError: an item that its entry does not bind; names the index.
    """
    leaves, beside = kernel.cut(entries), kernel.cut(items)
    new = range(skip, max(skip, len(leaves)))
    if len(beside) != len(leaves) or len(hashes) != len(new) * HASH_BYTES:
        raise Malformed("leaves, items and hashes are not parallel")
    return [
        _open_row(first + at, hashes[(at - skip) * HASH_BYTES : (at - skip + 1) * HASH_BYTES], leaves[at], beside[at])
        for at in new
    ]


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
    return (
        Row(index, leaf_hash, entry, item, False) if _is_item(item) else Row(index, leaf_hash, entry, None, False, item)
    )


def _is_item(data: bytes) -> bool:
    try:
        parse_item(data)
    except Malformed:
        return False
    return True


def v1_hashes(number: int, rows: list[Row]) -> bytes:
    """The v1 leaf hashes of the user entries among the rows, 32 bytes each; `number` user entries came before."""
    users = [row.entry for row in rows if row.entry is not None and row.entry.type == "user"]
    return b"".join([kernel.leaf_hash(v1_leaf(at, entry)) for at, entry in enumerate(users, number + 1)])


if (_native := kernel.native("mintmark.register._kernel")) is not None:
    open_rows, v1_hashes = _native.open_rows, _native.v1_hashes
