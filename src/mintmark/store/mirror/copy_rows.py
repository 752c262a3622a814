"""Rows of `entry` as Postgres' binary COPY has them: built for a mirror, taken apart for fsck.

Binary COPY: a count of fields, then each field's length and bytes, big-endian; the length -1 for null. A native twin
may take the place of the builders at the bottom of this module; the Python stays, as its oracle.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.tlog import kernel
from mintmark.tlog.kernel import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.register.entry import Entry, Row

COLUMNS = (
    *("log", "index", "leaf_hash", "type", "key", "timestamp"),
    *("item_hash", "item", "superseded_by", "number", "live"),
)
INTEGER_COLUMNS = {"log", "index", "superseded_by", "number", "live"}
TEXT_COLUMNS = {"type", "key", "timestamp"}

_LEAF_ROW = struct.Struct(f">hiiiqi{HASH_BYTES}s").pack  # fields, then log, index, leaf_hash
_LENGTH = struct.Struct(">i").pack
_COUNTS = struct.Struct(">iqiq").pack
_LONG = struct.Struct(">iq").pack
_NULL = b"\xff\xff\xff\xff"
_NOT_AN_ENTRY = _NULL * 5
_NULLS_AFTER_LEAF = _NULL * 8


def leaf_rows(log: int, first: int, hashes: bytes) -> bytes:
    """Rows of (log int4, index int8, leaf_hash bytea), without header and trailer. The index counts up from `first`.

    Raises:
        Malformed: not whole hashes.
    """
    if len(hashes) % HASH_BYTES:
        raise Malformed(f"{len(hashes)} bytes are not whole hashes")
    starts = enumerate(range(0, len(hashes), HASH_BYTES), first)
    return b"".join([_LEAF_ROW(3, 4, log, 8, index, HASH_BYTES, hashes[at : at + HASH_BYTES]) for index, at in starts])


def entry_rows(log: int, rows: list[Row], superseded_by: list[int | None], number: int, live: list[int]) -> bytes:
    """Rows of all columns of `entry`, in the order of the table, without header and trailer.

    `superseded_by` and `live` are parallel to the rows; `number` user entries came before them.
    """
    packed = []
    for row, by, standing in zip(rows, superseded_by, live, strict=True):
        number += row.entry is not None and row.entry.type == "user"
        packed.append(_pack(log, row, by, number, standing))
    return b"".join(packed)


def _pack(log: int, row: Row, superseded_by: int | None, number: int, live: int) -> bytes:
    start = _LEAF_ROW(len(COLUMNS), 4, log, 8, row.index, HASH_BYTES, row.leaf_hash)
    by = _NULL if superseded_by is None else _LONG(8, superseded_by)
    counts = _COUNTS(8, number, 8, live)
    if row.entry is None:
        return start + _NOT_AN_ENTRY + by + counts
    item = _NULL if row.item is None else _LENGTH(len(row.item) + 1) + b"\1" + row.item  # jsonb, version 1
    return b"".join((start, *_texts(row.entry), item, by, counts))


def _texts(entry: Entry) -> Sequence[bytes]:
    digest = _NULL if entry.item_hash is None else _LENGTH(HASH_BYTES) + entry.item_hash
    return _text(entry.type), _text(entry.key), _text(entry.timestamp), digest


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH(len(data)) + data


def whole_leaf_rows(log: int, first: int, hashes: bytes) -> list[bytes]:
    """The rows of `leaf_rows`, each with all columns of `entry`: the others are null."""
    rows = leaf_rows(log, first, hashes)
    step = len(rows) * HASH_BYTES // len(hashes) if hashes else 1
    count = len(COLUMNS).to_bytes(2, "big")
    return [count + rows[at + 2 : at + step] + _NULLS_AFTER_LEAF for at in range(0, len(rows), step)]


def split_rows(rows: bytes) -> list[bytes]:
    """The rows, each still as bytes."""
    found, at = [], 0
    while at < len(rows):
        start = at
        fields, at = int.from_bytes(rows[at : at + 2], "big"), at + 2
        for _ in range(fields):
            at += 4 + max(0, int.from_bytes(rows[at : at + 4], "big", signed=True))
        found.append(rows[start:at])
    return found


def row_values(row: bytes) -> Mapping[str, bytes | int | None]:
    """The values of a row of all columns, by column; texts as bytes."""
    values: dict[str, bytes | int | None] = {}
    at = 2
    for name in COLUMNS:
        length = int.from_bytes(row[at : at + 4], "big", signed=True)
        value = None if length < 0 else row[at + 4 : at + 4 + length]
        integer = value is not None and name in INTEGER_COLUMNS
        values[name] = int.from_bytes(value, "big", signed=True) if integer and value is not None else value
        at += 4 + max(0, length)
    return values


def row_parameters(row: bytes) -> dict[str, str | bytes | int | None]:
    """The values of a row of all columns, by column, as the parameters of a statement; texts as text."""
    return {
        name: value.decode() if name in TEXT_COLUMNS and isinstance(value, bytes) else value
        for name, value in row_values(row).items()
    }


if (_native := kernel.native("mintmark.store.mirror._copy_rows")) is not None:
    leaf_rows, entry_rows = _native.leaf_rows, _native.entry_rows
