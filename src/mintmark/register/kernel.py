"""The hot functions of a register: a whole bundle or batch at a time.

Rules: bytes and rows in, bytes and rows out. The grammar is that of `entry.parse_entry` and `item.parse_item`. A native
twin may take the place of the functions at the bottom of this module; the Python stays, as its oracle.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError
from mintmark.register.entry import Entry, Row, parse_entry, v1_leaf
from mintmark.register.item import parse_item
from mintmark.tlog import kernel
from mintmark.tlog.kernel import HASH

if TYPE_CHECKING:
    from collections.abc import Sequence

# Binary COPY: a count of fields, then each field's length and bytes; -1 for null.
_START = struct.Struct(">hiiiqi32s").pack  # 11 fields: log, index, leaf_hash
_LENGTH = struct.Struct(">i").pack
_TAIL = struct.Struct(">iqiq").pack
_LONG = struct.Struct(">iq").pack
_NULL = b"\xff\xff\xff\xff"
_NOT_AN_ENTRY = _NULL * 5


def open_rows(first: int, skip: int, hashes: bytes, entries: bytes, items: bytes) -> list[Row]:
    """The rows of a bundle that begins at index `first`, but for its first `skip`.

    `hashes` are the leaf hashes of those rows; `items`, the bundle parallel to `entries`.

    Raises:
        Malformed: entries, items and hashes are not parallel.
        ProofError: an item that its entry does not bind; names the index.
    """
    leaves, beside = kernel.cut(entries), kernel.cut(items)
    new = range(skip, max(skip, len(leaves)))
    if len(beside) != len(leaves) or len(hashes) != len(new) * HASH:
        raise Malformed("leaves, items and hashes are not parallel")
    return [
        _open_row(first + at, hashes[(at - skip) * HASH : (at - skip + 1) * HASH], leaves[at], beside[at]) for at in new
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
    return Row(index, leaf_hash, entry, item if _is_item(item) else None, False)


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


def copy_rows(log: int, rows: list[Row], superseded_by: list[int | None], number: int, live: list[int]) -> bytes:
    """Rows of a Postgres binary COPY into `entry`, without header and trailer; the columns in the order of the table.

    `superseded_by` and `live` are parallel to the rows; `number` user entries came before them.
    """
    packed = []
    for row, by, standing in zip(rows, superseded_by, live, strict=True):
        number += row.entry is not None and row.entry.type == "user"
        packed.append(_pack(log, row, by, number, standing))
    return b"".join(packed)


def _pack(log: int, row: Row, superseded_by: int | None, number: int, live: int) -> bytes:
    start = _START(11, 4, log, 8, row.index, 32, row.leaf_hash)
    by = _NULL if superseded_by is None else _LONG(8, superseded_by)
    counts = _TAIL(8, number, 8, live)
    if row.entry is None:
        return start + _NOT_AN_ENTRY + by + counts
    item = _NULL if row.item is None else _LENGTH(len(row.item) + 1) + b"\1" + row.item  # jsonb, version 1
    return b"".join((start, *_texts(row.entry), item, by, counts))


def _texts(entry: Entry) -> Sequence[bytes]:
    digest = _NULL if entry.item_hash is None else _LENGTH(HASH) + entry.item_hash
    return _text(entry.type), _text(entry.key), _text(entry.timestamp), digest


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH(len(data)) + data


if (_native := kernel.native("mintmark.register._kernel")) is not None:
    open_rows, v1_hashes, copy_rows = _native.open_rows, _native.v1_hashes, _native.copy_rows
