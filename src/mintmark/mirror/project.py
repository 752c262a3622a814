"""Verified entries of a register -> rows of the projection. Pure; the store writes what `Projected` says.

Three numbers run along a register and stand in each row, so that any past size is read from one row: `number` (user
entries so far), `live` (records that stand) and the right edge of the v1 tree (user entries in their v1 leaf form).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.register.chunk import Row, open_chunk
from mintmark.register.entry import erased_index
from mintmark.register.v1 import v1_leaf
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mintmark.tlog.trust import VerifiedChunk

    Key = tuple[str, str]

# Binary COPY: a count of fields, then each field's length and bytes; -1 for null.
_START = struct.Struct(">hiiiqi32s").pack  # 11 fields: log, index, leaf_hash
_TEXT = struct.Struct(">i").pack
_TAIL = struct.Struct(">iqiq").pack
_LONG = struct.Struct(">iq").pack
_NULL = b"\xff\xff\xff\xff"
_NOT_AN_ENTRY = _NULL * 6


@dataclass(frozen=True, slots=True)
class Counts:
    """What runs along a register, after some entry."""

    number: int = 0
    live: int = 0
    v1: Edge = Edge()


class Projected:
    """The rows of one batch, from verified chunks and the counts before them. Raises ProofError for an item that lies."""

    def __init__(self, log: int, before: Counts, chunks: Sequence[VerifiedChunk]) -> None:
        self._log, self._before = log, before
        self._rows = [row for chunk in chunks for row in open_chunk(chunk)]
        hashes = self._v1_hashes()
        self._v1, self.v1_tiles = before.v1.extend(hashes)
        self._number = before.number + len(hashes) // 32
        self._live = before.live
        self.missing = [row.index for row in self._rows if row.missing]
        self.erased = _erased(self._rows)

    @property
    def after(self) -> Counts:
        """The counts after this batch; true once `finish` was called."""
        return Counts(self._number, self._live, self._v1)

    def first_keys(self) -> dict[Key, int]:
        """(type, key) -> index of the batch's first entry of that key."""
        first: dict[Key, int] = {}
        for row in self._rows:
            if row.entry is not None:
                first.setdefault((row.entry.type, row.entry.key), row.index)
        return first

    def finish(self, prior: Collection[tuple[str, str, bool]]) -> bytes:
        """COPY rows, given (type, key, stood) of the keys that had an entry before this batch."""
        stands = {key for type_, key, stood in prior if stood and type_ == "user"}
        next_of = self._superseding()
        number, live, packed = self._before.number, self._before.live, []
        for row, superseded_by in zip(self._rows, next_of, strict=True):
            if row.entry is not None and row.entry.type == "user":
                number += 1
                live += (row.entry.item_hash is not None) - (row.entry.key in stands)
                (stands.add if row.entry.item_hash is not None else stands.discard)(row.entry.key)
            packed.append(_pack(self._log, row, superseded_by, number, live))
        self._live = live
        return b"".join(packed)

    def _superseding(self) -> list[int | None]:
        """For each row, the index of the next entry of its key within the batch."""
        following: list[int | None] = [None] * len(self._rows)
        last: dict[Key, int] = {}
        for at, row in enumerate(self._rows):
            if row.entry is not None:
                key = (row.entry.type, row.entry.key)
                if (before := last.get(key)) is not None:
                    following[before] = row.index
                last[key] = at
        return following

    def _v1_hashes(self) -> bytes:
        number, hashes = self._before.number, []
        for row in self._rows:
            if row.entry is not None and row.entry.type == "user":
                number += 1
                hashes.append(leaf_hash(v1_leaf(number, row.entry)))
        return b"".join(hashes)


def _erased(rows: Sequence[Row]) -> dict[int, int]:
    """index -> the entry that erases it. An entry can erase only what stands before it."""
    found: dict[int, int] = {}
    for row in rows:
        if row.entry is not None and row.entry.type == "system":
            index = erased_index(row.entry.key)
            if index is not None and index < row.index:
                found[index] = row.index
    return found


def _pack(log: int, row: Row, superseded_by: int | None, number: int, live: int) -> bytes:
    start = _START(11, 4, log, 8, row.index, 32, row.leaf_hash)
    counts = _TAIL(8, number, 8, live)
    if (entry := row.entry) is None:
        return start + _NOT_AN_ENTRY + counts
    item = _NULL if row.item is None else _TEXT(len(row.item) + 1) + b"\1" + row.item
    by = _NULL if superseded_by is None else _LONG(8, superseded_by)
    return b"".join((start, _text(entry.type), _text(entry.key), _text(entry.timestamp), _hash(entry.item_hash), item, by, counts))


def _text(value: str) -> bytes:
    data = value.encode()
    return _TEXT(len(data)) + data


def _hash(value: bytes | None) -> bytes:
    return _NULL if value is None else _TEXT(32) + value
