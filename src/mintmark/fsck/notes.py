"""The signed notes of a log: the roots that they vouch for, and the wrong rows about them.

A note stands in several rows, so that one of them can be repaired from another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mintmark.fsck.damaged_notes import Opened, Opener
from mintmark.store.fsck import repairs
from mintmark.store.log.model import Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.fsck.findings import Findings
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.fsck.repairs import Fix
    from mintmark.store.log.model import Log
    from mintmark.tlog.checkpoint import Checkpoint

    Stored = tuple[Any, ...]  # a row

SIGNED_EVIDENCE = ("Fork", "Rollback")  # kinds of evidence with notes that the log itself signed


class ClaimedRoot(NamedTuple):
    """The root at a size, as a row says it; `signed` by a key that is known here."""

    table: str
    key: str
    size: int
    root: bytes
    signed: bool = True


@dataclass
class Notes:
    """The notes of one log."""

    log: Log
    opener: Opener
    found: Findings
    mirrored: bool
    roots: list[ClaimedRoot] = field(default_factory=list)
    known: dict[int, Checkpoint] = field(default_factory=dict)  # by size; their notes are whole
    start: int = 0  # checkpoints of smaller sizes are not read
    heads: list[tuple[Stored, Opened]] = field(default_factory=list)
    progresses: list[tuple[Stored, Opened]] = field(default_factory=list)
    checkpoints: list[tuple[Stored, Opened]] = field(default_factory=list)

    @property
    def durable(self) -> int | None:
        """The size that the rows reach, as `progress` says, or the head of a mint; None where that row is lost."""
        if self.mirrored:
            return self.progresses[0][0][0] if self.progresses else None
        if not self.heads:
            return None
        row, opened = self.heads[0]
        return opened.head.size if opened.head is not None else int(row[0])

    async def read(self, store: FsckStore, sent: Iterable[bytes]) -> None:
        """Opens every note; `sent` are notes from a source."""
        for row in await store.heads(self.log.id):
            self.heads.append((row, self._read("head", "", row[2])))
        if self.mirrored:
            for row in await store.progress(self.log.id):
                self.progresses.append((row, self._read("progress", "", row[1])))
            for row in await store.checkpoints(self.log.id, self.start):
                self.checkpoints.append((row, self._read("checkpoint", str(row[0]), row[1])))
            for id_, kind, notes in await store.evidence(self.log.id):
                self._evidence(id_, kind, notes)
        for note in sent:
            self._know(self.opener.open(note))

    def _read(self, table: str, key: str, note: bytes | None) -> Opened:
        if note is None:
            return Opened(None)
        opened = self.opener.open(note)
        if opened.head is not None:
            self.roots.append(ClaimedRoot(table, key, opened.head.size, opened.head.root, not opened.unknown_keys))
        self._know(opened)
        return opened

    def _know(self, opened: Opened) -> None:
        if opened.head is not None and not opened.unknown_keys:
            self.known.setdefault(opened.head.size, opened.head)

    def _evidence(self, id_: int, kind: str, notes: Sequence[bytes]) -> None:
        opened = [self.opener.open(note) if kind in SIGNED_EVIDENCE else Opened(None) for note in notes]
        right = [each.head.note if each.head is not None else note for each, note in zip(opened, notes, strict=True)]
        for each in opened:
            if each.wrong and not each.unknown_keys:
                fix = repairs.set_evidence_notes(id_, right) if each.head is not None else None
                self.found("evidence", id_, f"notes: {each.wrong}", fix)

    def judge(self, size: int) -> None:
        """Finds the wrong rows, now that the number of entries is known."""
        self._judge_head(size)
        if self.mirrored:
            self._judge_progress(size)
            for row, opened in self.checkpoints:
                self._judge_checkpoint(row, opened)

    @property
    def shown(self) -> int:
        """The size of the largest head that readers of this database saw."""
        heads = [opened.head.size for _, opened in [*self.heads, *self.checkpoints] if opened.head is not None]
        return max(heads, default=0)

    def _judge_head(self, size: int) -> None:
        if not self.heads and (self.checkpoints or not self.mirrored):
            self.found("head", "", "lost", self._head_fix(self.shown if self.mirrored else size))
        for (stored, root, _), opened in self.heads:
            if opened.head is None or opened.wrong:
                fix = self._head_fix(stored) or self._head_fix(self.shown if self.mirrored else size)
                self.found("head", "", f"note: {opened.wrong}", fix)
            if opened.head is not None:
                self._compare_head(stored, root, opened.head)

    def _compare_head(self, stored: int, root: bytes, head: Checkpoint) -> None:
        fix = self._head_fix(self.shown if self.mirrored else head.size)
        if head.size != stored:
            self.found("head", "", f"size: {stored}, and its note is of {head.size} entries", fix)
        if head.root != root:
            self.found("head", "", "root: it is not the one of its note", fix)
        if self.mirrored and head.size < self.shown:
            self.found("head", "", f"size: {head.size}, and the head of {self.shown} entries was shown", fix)
        if self.mirrored and head.size >= self.start and head.size not in self._sizes():
            kept = repairs.put_checkpoint(self.log.id, head.size, head.note)
            self.found("checkpoint", head.size, "lost", kept)

    def _sizes(self) -> set[int]:
        """The sizes of the checkpoints, by their notes and by the column beside them."""
        noted = {opened.head.size for _, opened in self.checkpoints if opened.head is not None}
        return noted | {row[0] for row, _ in self.checkpoints}

    def _head_fix(self, size: int) -> Fix | None:
        right = self.known.get(size)
        return None if right is None else repairs.put_head(self.log.id, Head(right.size, right.root, right.note))

    def _judge_progress(self, size: int) -> None:
        fix = self._progress_fix(size)
        if not self.progresses:
            self.found("progress", "", "lost", fix)
        for (stored, note, pending), opened in self.progresses:
            if opened.wrong:
                self.found("progress", "", f"note: {opened.wrong}", fix)
            if note is None and (pending or stored):
                self.found("progress", "", f"note: nothing, with {max(pending, stored)} entries", fix)
            if opened.head is not None and opened.head.size != pending:
                self.found("progress", "", f"pending: {pending}, and its note is of {opened.head.size} entries", fix)
            if opened.head is not None and opened.head.size < size:
                what = f"note: of {opened.head.size} entries, and the rows hold {size}"
                self.found("progress", "", what, fix)
            if stored != size:
                self.found("progress", "", f"size: {stored} where the rows hold {size} entries", fix)

    def _progress_fix(self, size: int) -> Fix | None:
        """The right row: its pending note is the largest known one, which the next entries must lead to."""
        for _, opened in self.progresses:
            if opened.head is not None and opened.head.size >= size:
                return repairs.put_progress(self.log.id, size, opened.head.note, opened.head.size)
        right = max(self.known.values(), key=lambda head: head.size, default=None)
        if right is None or right.size < size:
            return None
        return repairs.put_progress(self.log.id, size, right.note, right.size)

    def _judge_checkpoint(self, row: Stored, opened: Opened) -> None:
        stored, _ = row
        right = opened.head or self.known.get(stored)
        if opened.wrong and not opened.unknown_keys:
            lost = "" if right is not None else "; no copy of it is known"
            self.found("checkpoint", stored, f"note: {opened.wrong}{lost}", self._checkpoint_fix(stored, right))
        elif right is not None and right.size != stored:
            what = f"size: {stored}, and its note is of {right.size} entries"
            self.found("checkpoint", stored, what, self._checkpoint_fix(stored, right))

    def _checkpoint_fix(self, stored: int, right: Checkpoint | None) -> Fix:
        """The right row; none where it is there already, or where nobody knows what was signed."""
        others = {row[0] for row, _ in self.checkpoints} - {stored}
        if right is None or right.size in others:
            return repairs.delete_checkpoint(self.log.id, stored)
        return repairs.set_checkpoint(self.log.id, stored, right.size, right.note)
