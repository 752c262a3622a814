"""Verified entries of a register -> rows of the projection. Pure; the store writes what `BatchProjection` says.

Three numbers run along a register and stand in each row, so that any past size is read from one row: `number` (user
entries so far), `live` (records that stand) and the right edge of the v1 tree (user entries in their v1 leaf form).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.register import kernel
from mintmark.register.entry import erased_index
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mintmark.register.entry import Row
    from mintmark.store.log.model import TileKey

    Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RunningCounts:
    """What runs along a register, after some entry."""

    number: int = 0
    live: int = 0
    v1: Edge = field(default_factory=Edge)


class BatchProjection:
    """The projection of one batch: entries that follow one another, and the counts before them.

    `first_keys` are (type, key) -> index of the batch's first entry of that key; `number` and `v1` are those after the
    batch; so is `live`, once `finish` was called. A batch may be made before the one that it follows is finished.
    """

    def __init__(self, log: int, before: RunningCounts | BatchProjection, rows: list[Row]) -> None:
        self._log, self._rows = log, rows
        self._before: RunningCounts | BatchProjection = before
        self._first = before.number
        hashes = kernel.v1_hashes(self._first, self._rows)
        v1, tiles = before.v1.extend(hashes)
        self.v1: Edge = v1
        self.v1_tiles: dict[TileKey, bytes] = tiles
        self.number: int = self._first + len(hashes) // HASH
        self.live = 0
        self.missing = [row.index for row in self._rows if row.missing]
        self.erased = _erased(self._rows)
        self.first_keys, self._following = _keys(self._rows)

    @property
    def after(self) -> RunningCounts:
        """The counts after this batch; true once `finish` was called."""
        return RunningCounts(self.number, self.live, self.v1)

    def finish(
        self, prior: Collection[tuple[str, str, bool]]
    ) -> tuple[int, list[Row], list[int | None], int, list[int]]:
        """The arguments of `entry_rows`, given (type, key, stood) of the keys that had an entry before this batch."""
        stands = {key for type_, key, stood in prior if stood and type_ == "user"}
        live, standing = self._before.live, []
        self._before = RunningCounts(live=live)  # the batches before are not held
        for _, _, entry, _, _ in self._rows:
            if entry is not None and entry.type == "user":
                if entry.item_hash is not None:
                    live += entry.key not in stands
                    stands.add(entry.key)
                elif entry.key in stands:
                    live -= 1
                    stands.remove(entry.key)
            standing.append(live)
        self.live = live
        return self._log, self._rows, self._following, self._first, standing


def _keys(rows: Sequence[Row]) -> tuple[dict[Key, int], list[int | None]]:
    """The index of each key's first entry among these; and for each row, that of the next entry of its key."""
    first: dict[Key, int] = {}
    last: dict[Key, int] = {}
    following: list[int | None] = [None] * len(rows)
    for at, row in enumerate(rows):
        if row.entry is not None:
            key = (row.entry.type, row.entry.key)
            if (before := last.get(key)) is None:
                first[key] = row.index
            else:
                following[before] = row.index
            last[key] = at
    return first, following


def _erased(rows: Sequence[Row]) -> dict[int, int]:
    """Index -> the entry that erases it. An entry can erase only what stands before it."""
    found: dict[int, int] = {}
    for row in rows:
        if row.entry is not None and row.entry.type == "system":
            index = erased_index(row.entry.key)
            if index is not None and index < row.index:
                found.setdefault(index, row.index)
    return found
