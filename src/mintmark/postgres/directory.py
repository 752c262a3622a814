"""The directory of a server: one server to a directory, and a path to its socket.

The lock is on a file that is handed down to Postgres and, by it, to all of its processes: it is free when the last of
them is gone. Postgres's own safeguard, the process id in postmaster.pid, cannot tell a killed server from another
process that has its id now; this lock can.

libpq takes at most 107 bytes as the path of a unix socket, and reads a comma as the end of one of several hosts. A
directory whose path does not fit is reached by a link in a directory that only we can write.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
import sys
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from mintmark.errors import Misconfigured

LOCK_POLL_INTERVAL_SECONDS = 0.02
MAX_SOCKET_PATH_BYTES = 107


class Takeover(NamedTuple):
    """How a server of a former run, which still holds the lock, is stopped: the signals, each after some seconds."""

    signals: tuple[tuple[float, signal.Signals], ...] = ((0.0, signal.SIGINT), (30.0, signal.SIGQUIT))
    timeout_seconds: float = 60.0


async def acquire_lock(lock: Path, data: Path, takeover: Takeover = Takeover()) -> int:  # noqa: B008  # immutable
    """The lock, as an open file, once a server of a former run is stopped. Raises Misconfigured where it is not."""
    file = os.open(lock, os.O_RDWR)
    try:
        began, signals = monotonic(), list(takeover.signals)
        while not _locked(file, data):
            waited = monotonic() - began
            if waited > takeover.timeout_seconds:
                raise Misconfigured(f"another Postgres runs in {data.parent} and does not stop; end it first")
            if signals and waited >= signals[0][0] and (other := postmaster_pid(data)) is not None:
                os.kill(other, signals.pop(0)[1])
            await asyncio.sleep(LOCK_POLL_INTERVAL_SECONDS)
    except BaseException:
        os.close(file)
        raise
    return file


def _locked(file: int, data: Path) -> bool:
    """True if the lock is ours now, and no server that somebody started by hand is here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if postmaster_pid(data) is not None:
        return False
    (data / "postmaster.pid").unlink(missing_ok=True)  # or a process that has its id now would keep Postgres away
    return True


def postmaster_pid(data: Path) -> int | None:
    """The process id of the server that runs on this data; None where there is none."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except PermissionError:
        return None  # another user's process cannot be our server
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return pid if Path(f"/proc/{pid}/cwd").samefile(data) else None
    return pid


def socket_directory(directory: Path, port: str) -> Path:
    """A path of a directory with a socket that libpq accepts. Raises Misconfigured where the link cannot be made."""
    if "," not in str(directory) and len(os.fsencode(directory / f".s.PGSQL.{port}")) <= MAX_SOCKET_PATH_BYTES:
        return directory
    links = _runtime_directory() / f"mintmark-{os.geteuid()}"
    link = links / sha256(os.fsencode(directory)).hexdigest()[:16]
    try:
        _make_private(links)
        if not (link.is_symlink() and link.readlink() == directory):
            fresh = link.with_name(f"{link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(directory)
            fresh.replace(link)
    except OSError as error:
        raise Misconfigured(
            f"the path {directory} is too long for a unix socket, and {link} cannot link to it: {error.strerror}; "
            "choose a shorter path"
        ) from error
    return link


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise Misconfigured(f"{directory} is not a private directory of ours; remove it")


def _runtime_directory() -> Path:
    """The system's directory for files that live until the machine restarts."""
    candidates = (Path(f"/run/user/{os.geteuid()}"), Path("/run"))
    return next((path for path in candidates if os.access(path, os.W_OK)), Path("/tmp"))  # noqa: S108  # checked there
