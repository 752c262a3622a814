"""The requests of a mint, laid end to end: those with a wrong place, and their right places.

Each request begins where another ends, and the last one ends at the log's size. They are laid from there on backwards.
Where none ends at the place that was reached, one has a wrong count or a wrong first entry: the one that fits the rest.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class StoredRequest(NamedTuple):
    """A row of `request`."""

    id: bytes
    digest: bytes
    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count, which says nothing about a request

    @property
    def end(self) -> int:
        """The index after its last entry, where the next request begins."""
        return self.first + self.count


def laid_end_to_end(rows: Iterable[StoredRequest], size: int) -> list[StoredRequest]:
    """The requests as they should be, by first entry; those whose right place is unknown stay as they are."""
    left = sorted(rows, key=lambda row: (row.end, row.first))
    right: list[StoredRequest] = []
    while left:
        found = _ending(left, size) or _repaired(left, size)
        if found is None:
            break
        at, new = found
        del left[at]
        right.append(new)
        size = new.first
    return sorted([*left, *right], key=lambda row: row.first)


def _ending(left: Sequence[StoredRequest], need: int) -> tuple[int, StoredRequest] | None:
    """The request that ends at `need`, and its place; of several, the one that begins last."""
    for at in range(len(left) - 1, -1, -1):
        if left[at].end < need:
            return None
        if left[at].end == need and left[at].count > 0:
            return at, left[at]
    return None


def _repaired(left: Sequence[StoredRequest], need: int) -> tuple[int, StoredRequest] | None:
    """The only request that could belong there, repaired, and its place: all others end where it begins.

    It has a wrong count, and begins last of those before `need`; or it has a wrong first entry.
    """
    last = max((row.first for row in left if 0 <= row.first < need), default=None)
    fitting = [
        (at, new)
        for at, row in enumerate(left)
        for new in _changed(row, need)
        if new.first == _end(left, at) and (new.first != row.first or new.first == last)
    ]
    if len(fitting) > 1:  # the one that leaves all others end to end
        fitting = [(at, new) for at, new in fitting if _end_to_end([*left[:at], *left[at + 1 :], new])]
    return fitting[0] if len(fitting) == 1 else None


def _end_to_end(rows: Iterable[StoredRequest]) -> bool:
    ordered = sorted(rows, key=lambda row: row.first)
    return all(row.end == following.first for row, following in pairwise(ordered))


def _end(left: Sequence[StoredRequest], at: int) -> int:
    """The end of the last other request; `left` is ordered by end."""
    others = left[-1] if at < len(left) - 1 else left[-2] if len(left) > 1 else None
    return others.end if others is not None else 0


def _changed(row: StoredRequest, need: int) -> Iterator[StoredRequest]:
    """The request with another count or another first entry, so that it ends at `need`."""
    if 0 <= row.first < need:
        yield row._replace(count=need - row.first)
    if 0 < row.count <= need:
        yield row._replace(first=need - row.count)
