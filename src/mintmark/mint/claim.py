"""The claim on a log's key: who signs with it now, and the newest head that was signed with it.

NAME.lock   locked (flock, shared) by each process that signs with NAME.key; names their database, one for all of them
NAME.head   the newest head that one of them committed: written before its answer, read before the next signature

The high-water mark is on disk, and up to a second old. NAME.head is never older than the last answer, but is not
synced: it survives the end of a process, and not always the end of the machine. Its loss is no fault; the mark is left.

A lock ends with its process, however that ends. The last process that stops in order removes both files. Who locks a
file looks, afterwards, whether its name still leads to it (docs/adr/007-high-water-mark).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured, Rejected, Unavailable
from mintmark.tlog.checkpoint import read_tree_head

if TYPE_CHECKING:
    from pathlib import Path

MAX_TRIES, TRY_INTERVAL_SECONDS = 100, 0.01  # to lock a file that another process takes or leaves at this moment
MAX_IDENTITY_BYTES = 256


class Claim:
    """A process' claim on one log's key. `take` makes it."""

    def __init__(self, lock: Path, head: Path, database: str, file: int) -> None:
        self._lock, self._head, self._file = str(lock), str(head), file
        self.database = database
        self._known = b""  # what NAME.head held when we wrote or read it last

    @classmethod
    async def take(cls, lock: Path, head: Path, database: str) -> Claim:
        """Claims a log's key for the database of this identity, beside the other mints of that database.

        Raises:
            Rejected: a mint of another database has it.
            Misconfigured: the file cannot be written, or not be locked.
            Unavailable: another process is about to take or to leave it, for too long.
        """
        for _ in range(MAX_TRIES):
            try:
                if (file := _lock(lock, database)) is not None:
                    return cls(lock, head, database, file)
            except OSError as error:
                reason = f"{lock.name}, beside the key, cannot be written and locked: {error.strerror}"
                cure = "without it two mints could sign two histories: keep the keys on a file system with locks"
                raise Misconfigured(f"{reason}; {cure}") from error
            await asyncio.sleep(TRY_INTERVAL_SECONDS)
        raise Unavailable(f"another process keeps {lock.name} to itself; nothing is signed meanwhile")

    def is_held(self) -> bool:
        """False where the lock file was removed or replaced: another could lock the new one."""
        return _is_at(self._file, self._lock)

    def read_newest(self) -> bytes:
        """The newest head that was committed, as a note; b"": it is not known."""
        self._known = _read(self._head, lock=True)
        return self._known

    def is_moved(self) -> bool:
        """True where another process committed since `read_newest` and `raise_newest`. Costs microseconds."""
        return _read(self._head, lock=False) != self._known

    def raise_newest(self, note: bytes) -> None:
        """Notes a head that was committed, if none that is newer is there. Raises OSError."""
        file = os.open(self._head, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # for microseconds, by whoever has it
            held = _bytes(file)
            if held == self._known or _size(held) < _size(note):
                os.pwrite(file, note, 0)
                os.ftruncate(file, len(note))
                self._known = note
        finally:
            os.close(file)

    def release(self, mark: bytes) -> None:
        """Gives the claim up; the last to do so removes the files. NAME.head stays where it says more than the mark."""
        try:
            if _try(self._file, fcntl.LOCK_EX) and self.is_held():
                if _read(self._head, lock=False) == mark:
                    with suppress(FileNotFoundError):
                        os.unlink(self._head)
                os.unlink(self._lock)
        finally:
            os.close(self._file)


def read_newest(head: Path) -> bytes:
    """The newest head in a file, for who claims nothing."""
    return _read(str(head), lock=True)


def _lock(lock: Path, database: str) -> int | None:
    """The lock file, open and locked; None where another process is about to take it or to leave it.

    Raises:
        Rejected: mints of another database have it.
        OSError: it cannot be opened, written or locked.
    """
    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _shares(file, lock, database) and _is_at(file, str(lock)):
            kept, file = file, -1
            return kept
        return None
    finally:
        if file >= 0:
            os.close(file)


def _shares(file: int, lock: Path, database: str) -> bool:
    if _try(file, fcntl.LOCK_EX):  # nobody has it: what it says is of the past
        os.ftruncate(file, 0)
        os.pwrite(file, database.encode(), 0)
    if not _try(file, fcntl.LOCK_SH):
        return False
    if (held := os.pread(file, MAX_IDENTITY_BYTES, 0).decode(errors="replace")) != database:
        reason = f"a mint on another database signs with this key now: {lock.name} names {held!r}, ours is {database!r}"
        cure = "two would sign two histories, so nothing is signed here until that mint has ended"
        raise Rejected(f"{reason}; {cure}", rule="claim")
    return True


def _try(file: int, kind: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return True
    return False


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _read(path: str, *, lock: bool) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        if lock:
            fcntl.flock(file, fcntl.LOCK_SH)
        return _bytes(file)
    finally:
        os.close(file)


def _bytes(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def _size(note: bytes) -> int:
    try:
        return read_tree_head(note).size
    except Malformed:
        return -1
