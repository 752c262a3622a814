"""The part of an RSF file that a log holds already.

Published are two sequences: the user entries, and the system entries. How the two lie in one another is not: a file
puts all system entries first, a log has them where they came. So each is compared with its own, in order, and a log
that has another entry at some place of either has another history. Keys of the log's own are in no file, and are passed
over.

    file of a whole register     both sequences begin with the log's
    file that continues one      the user entries follow those whose v1 root the file begins with; the system entries
                                 follow any of the log's that they fit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Rejected
from mintmark.register.entry import is_published_key, v1_extend
from mintmark.register.item import format_hash
from mintmark.tlog.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.register.entry import Entry, EntryType, Row
    from mintmark.register.rsf import AppendEntry, AssertRoot, RsfEntry

MAX_PENDING_ENTRIES = 4_096  # whose hashes are not in the edge yet


class Placed(NamedTuple):
    """An entry of a log, with its index."""

    index: int  # type: ignore[assignment]  # instead of tuple.index
    entry: Entry


class HistoryOverlap:
    """Compares a file with a log: `fold` the log's rows, in order, then `finish`. The counts are of the file's entries.

    `start` is the v1 edge that the file continues from; None until it is found. It is looked for where the log has the
    file's first user entry, and at the end; a `thorough` search, which takes long, looks everywhere.
    """

    def __init__(
        self, origin: str, entries: Sequence[AppendEntry], continued: AssertRoot | None, *, thorough: bool = False
    ) -> None:
        self.user = self.system = 0
        self.start = Edge() if continued is None else None
        self._thorough = thorough
        self._origin, self._continued = origin, continued
        self._file: dict[EntryType, list[AppendEntry]] = {"user": [], "system": []}
        for entry in entries:
            self._file[entry.entry.type].append(entry)
        self._edge = Edge()
        self._pending: list[Entry] = []
        self._log_system: list[Placed] = []

    def fold(self, rows: Iterable[Row]) -> None:
        """Takes the next entries of the log. Raises Rejected for a user entry that differs."""
        for row in rows:
            if row.entry is None:
                continue
            placed = Placed(row.index, row.entry)
            if row.entry.type == "user":
                self._user(placed)
            elif is_published_key(row.entry.key):
                self._log_system.append(placed)

    def finish(self) -> None:
        """Takes the end of the log.

        Raises Rejected for a system entry that differs, or where a thorough search has not found the start.
        """
        if self._continued is not None:
            self._look_for_start(self._continued)
            if self.start is None and self._thorough:
                raise Rejected(
                    f"line {self._continued.line}: the file continues a register from the root "
                    f"{format_hash(self._continued.root)}, which {self._origin} does not have at any size: "
                    "it has other entries, or not so many; import what comes before first",
                    rule="history",
                    line=self._continued.line,
                )
        self.system = self._held_system()

    def missing(self, entries: Iterable[RsfEntry]) -> list[RsfEntry]:
        """Those of the file's entries that the log does not hold, in the file's order."""
        held: dict[EntryType, int] = {"user": self.user, "system": self.system}
        found = []
        for entry in entries:
            if held[entry.entry.type]:
                held[entry.entry.type] -= 1
            else:
                found.append(entry)
        return found

    def _user(self, placed: Placed) -> None:
        ours = self._file["user"]
        if self._continued is not None and self.start is None:
            if self._thorough or (ours and placed.entry == ours[0].entry):
                self._look_for_start(self._continued)
            self._pending.append(placed.entry)
            if len(self._pending) >= MAX_PENDING_ENTRIES:
                self._settle()
        if self.start is not None and self.user < len(ours):
            if placed.entry != ours[self.user].entry:
                raise self._fork(ours[self.user], placed, self.start.size + self.user + 1)
            self.user += 1

    def _look_for_start(self, continued: AssertRoot) -> None:
        self._settle()
        if self.start is None and self._edge.root() == continued.root:
            self.start = self._edge

    def _settle(self) -> None:
        self._edge = v1_extend(self._edge, self._pending)
        self._pending.clear()

    def _held_system(self) -> int:
        ours, theirs = self._file["system"], self._log_system
        for start in range(len(theirs) + 1) if self._continued is not None else (0,):
            differs = (at for at, (a, b) in enumerate(zip(ours, theirs[start:], strict=False)) if a.entry != b.entry)
            at = next(differs, None)
            if at is None:
                return min(len(ours), len(theirs) - start)
            if self._continued is None:
                raise self._fork(ours[at], theirs[at], at + 1)
        raise AssertionError("after the last of the log's entries, none differs")

    def _fork(self, ours: AppendEntry, theirs: Placed, number: int) -> Rejected:
        return Rejected(
            f"line {ours.line}: {self._origin} holds other entries than this file: its {theirs.entry.type} entry "
            f"{number}, at index {theirs.index}, is {_said(theirs.entry)}, and here it is {_said(ours.entry)}; "
            "import the file under another name, or append what is new",
            rule="history",
            line=ours.line,
        )


def _said(entry: Entry) -> str:
    digest = "no item" if entry.item_hash is None else f"item {entry.item_hash.hex()[:8]}…"
    return f"{entry.key!r} of {entry.timestamp} ({digest})"
