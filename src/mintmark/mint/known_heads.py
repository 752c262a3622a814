"""The heads that a log has signed, as far as they are known here: none is forgotten while the process lives.

    mark        on disk, up to a second old                    (`high_water_mark`)
    newest      of the processes that sign with this key       (`claim`)
    committed   by this process, or found in the database and signed upon
    shown       to this process' readers of the log, whoever committed it

A database that holds less than one of them, or another tree, has gone back: an asynchronous replica that was promoted,
a restored backup. Nothing is signed for it. A head whose commit has not been answered is none of them: it was shown to
nobody, unless the database has it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mintmark.errors import BadSignature, Malformed, Misconfigured
from mintmark.files import file_stamp
from mintmark.mint.claim import Claim, read_newest
from mintmark.mint.high_water_mark import (
    check_high_water_mark,
    raise_high_water_mark,
    read_high_water_mark,
)
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.mint.keys import KeyDirectory
    from mintmark.store.log.model import Head, Log
    from mintmark.store.mint.mint_store import MintStore
    from mintmark.tlog.note import Verifier


class KnownHeads:
    """Those of one log. `shown` has the newest head of each log, by its id, as readers got it."""

    def __init__(self, log: Log, store: MintStore, keys: KeyDirectory, shown: Mapping[int, Head]) -> None:
        self._log, self._store, self._keys, self._shown = log, store, keys, shown
        self._mark = keys.file(log.origin, "mark")
        self._claim: Claim | None = None
        self._committed: Checkpoint | None = None
        self._mark_stamp: object = None
        self._marked_note = b""
        self._last_shown: Head | None = None

    async def claim(self) -> None:
        """Claims the key for the database as it is now. Raises as `Claim.take` does."""
        database = await self._store.identity()
        held = self._claim
        if held is None or held.database != database or not held.is_held():
            self.release()
            lock, newest = (self._keys.file(self._log.origin, suffix) for suffix in ("lock", "head"))
            self._claim = await Claim.take(lock, newest, database)

    def release(self) -> None:
        """Gives the claim up."""
        if self._claim is not None:
            claim, self._claim = self._claim, None
            claim.release(self._mark_bytes())

    def read(self, verifiers: Sequence[Verifier]) -> list[Checkpoint]:
        """The heads that are known, to be read before the database is: it may move meanwhile.

        Raises as `read_high_water_mark` does.
        """
        self._mark_stamp = file_stamp(self._mark)
        known = [read_high_water_mark(self._mark, self._log.origin, verifiers)]
        self._marked_note = known[0].note
        self._last_shown = self._shown.get(self._log.id)
        for note in (self._newest(), self._last_shown.note if self._last_shown else b""):
            known += _opened(note, self._log.origin, verifiers)
        return known + ([self._committed] if self._committed else [])

    async def check(self, head: Checkpoint, known: Sequence[Checkpoint]) -> None:
        """Checks that the database's tree, with this head, has grown from all of these.

        Raises as `check_high_water_mark` does.
        """
        for each in known:
            await check_high_water_mark(self._store, self._log.id, head, each)
        self._committed = head

    def check_keys(self, verifiers: Sequence[Verifier]) -> None:
        """Checks that the mark and the newest head are signed by one of these keys. Raises BadSignature."""
        for note in (self._mark_bytes(), self._newest()):
            if note:
                open_checkpoint(note, self._log.origin, verifiers)

    def is_moved(self) -> bool:
        """True where `read` could give another head than last time. Costs microseconds."""
        claim = self._claim
        try:
            moved = claim is None or claim.is_moved() or not claim.is_held()
        except OSError:
            moved = True  # `read` says why
        return moved or file_stamp(self._mark) != self._mark_stamp or self._is_shown_more()

    def _is_shown_more(self) -> bool:
        """True where readers got a head that was not looked at yet, and that we have not committed."""
        shown = self._shown.get(self._log.id)
        ours = self._committed.size if self._committed else -1
        return shown is not None and shown != self._last_shown and shown.size > ours

    def commit(self, head: Checkpoint) -> None:
        """Takes a head that the database has committed, before anybody is told of it. Raises OSError."""
        self._committed = head
        if self._claim is not None:
            self._claim.raise_newest(head.note)

    async def raise_mark(self) -> None:
        """Brings the high-water mark up to the last commit. Raises as `raise_high_water_mark` does."""
        head = self._committed
        if head is None or head.size == 0 or head.note == self._marked_note:
            return
        if await asyncio.to_thread(raise_high_water_mark, self._mark, head.note):
            self._marked_note = head.note
        written = file_stamp(self._mark)
        if self._mark.read_bytes() == head.note:
            self._mark_stamp = written

    def _mark_bytes(self) -> bytes:
        try:
            return self._mark.read_bytes()
        except OSError:
            return b""

    def _newest(self) -> bytes:
        try:
            return self._claim.read_newest() if self._claim else read_newest(self._keys.file(self._log.origin, "head"))
        except OSError as error:
            raise Misconfigured(f"the newest head of {self._log.origin} cannot be read: {error}") from error


def newest_signed(keys: KeyDirectory, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The newest head that the files beside a log's key know. Raises as `read_high_water_mark` does."""
    mark = read_high_water_mark(keys.file(origin, "mark"), origin, verifiers)
    return max([mark, *_opened(read_newest(keys.file(origin, "head")), origin, verifiers)], key=lambda head: head.size)


def _opened(note: bytes, origin: str, verifiers: Sequence[Verifier]) -> list[Checkpoint]:
    """The checkpoint in a note; none where there is none, as after a loss of power."""
    try:
        return [open_checkpoint(note, origin, verifiers)]
    except (Malformed, BadSignature):
        return []
