"""The signed notes of a log: which roots they vouch for, and which rows about them are wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, Untrusted
from mintmark.mirror.fsck.damage import Damage
from mintmark.store import fsck_store as sql
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.note import format_note, open_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.store.fsck_store import FsckStore
    from mintmark.store.model import Log
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

PROVEN = ("Fork", "Rollback")  # evidence whose notes the log itself signed


class Mark(NamedTuple):
    """A row that says what the root was at some size."""

    table: str
    key: str
    size: int
    root: bytes


@dataclass
class Notes:
    """What the notes of a log say. `best`: the largest signed head; `durable`: the size that rows are said to reach."""

    marks: list[Mark] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    best: Checkpoint | None = None
    durable: int | None = None


async def read_notes(store: FsckStore, log: Log, verifiers: Sequence[Verifier], mirrored: bool) -> Notes:
    """Opens every note of a log, and compares what stands beside it. A mirror's cosigner is one of the verifiers."""
    reader = _Reader(log, verifiers)
    head = await store.fetch(sql.HEAD, (log.id,))
    for size, root, note in head:
        reader.head(size, root, note)
    if mirrored:
        for size, note, pending in await store.fetch(sql.PROGRESS, (log.id,)):
            reader.progress(size, note, pending)
        for size, note in await store.fetch(sql.CHECKPOINTS, (log.id,)):
            reader.open("checkpoint", str(size), size, note)
        for id_, kind, notes in await store.fetch(sql.EVIDENCE, (log.id,)):
            reader.evidence(id_, kind, notes)
        if reader.notes.durable is None:
            reader.found("progress", "", "lost")
    elif not head:
        reader.found("head", "", "lost")
    return reader.notes


class _Reader:
    def __init__(self, log: Log, verifiers: Sequence[Verifier]) -> None:
        self._log, self._verifiers = log, verifiers
        self.notes = Notes()

    def found(self, table: str, key: str, what: str) -> None:
        self.notes.damages.append(Damage(self._log.origin, table, key, what))

    def head(self, size: int, root: bytes, note: bytes) -> None:
        opened = self.open("head", "", size, note)
        if opened is not None and opened.root != root:
            self.found("head", "", "root: it is not the one of its note")
        self.notes.durable = opened.size if opened is not None else size

    def progress(self, size: int, note: bytes | None, pending: int) -> None:
        if note is not None:
            self.open("progress", "", pending, note)
        elif pending or size:
            self.found("progress", "", f"{max(pending, size)} entries, and no note")
        self.notes.durable = size

    def evidence(self, id_: int, kind: str, notes: Sequence[bytes]) -> None:
        for note in notes if kind in PROVEN else ():
            if isinstance(opened := self._opened(note), str):
                self.found("evidence", str(id_), f"notes: {opened}")

    def open(self, table: str, key: str, size: int, note: bytes) -> Checkpoint | None:
        """The head that a note says, if it is one; then its root is to be found at its size."""
        opened = self._opened(note)
        if isinstance(opened, str):
            self.found(table, key, f"note: {opened}")
            return None
        if opened.size != size:
            self.found(table, key, f"size: {size}, and its note is of {opened.size} entries")
        self.notes.marks.append(Mark(table, key, opened.size, opened.root))
        if self.notes.best is None or opened.size > self.notes.best.size:
            self.notes.best = opened
        return opened

    def _opened(self, note: bytes) -> Checkpoint | str:
        """The head; or what is wrong, a line that nobody signed included: only verified lines are ever stored."""
        try:
            opened = open_checkpoint(note, self._log.origin, self._verifiers)
            whole = format_note(*open_note(note, self._verifiers))
        except (Untrusted, Malformed) as error:
            return str(error)
        return opened if whole == note else "a signature line by a key that is not here"
