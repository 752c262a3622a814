"""One server to a directory, by a lock that the server itself holds: it is free when the last of its processes is gone.

The lock is on a file that is handed down to Postgres and, by it, to all of its processes. Postgres's own safeguard, the
process id in postmaster.pid, cannot tell a killed server from one whose id another process has now; this can.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path
from time import monotonic

from mintmark.errors import Misconfigured

STEPS = ((0.0, signal.SIGINT), (30.0, signal.SIGQUIT))  # seconds of waiting, and what the other server is sent then
GIVEN_UP = 60.0  # seconds
LOOK = 0.02  # seconds between looks


async def acquire(lock: Path, data: Path) -> int:
    """The lock, as an open file. Whatever server of a former run still holds it is asked to stop, then urged.

    Raises Misconfigured where it does not.
    """
    file = os.open(lock, os.O_RDWR)
    try:
        began, steps = monotonic(), list(STEPS)
        while not _free(file, data):
            waited = monotonic() - began
            if waited > GIVEN_UP:
                raise Misconfigured(f"another Postgres runs in {data.parent} and does not stop; end it first")
            if steps and waited >= steps[0][0] and (other := postmaster(data)) is not None:
                os.kill(other, steps.pop(0)[1])
            await asyncio.sleep(LOOK)
    except BaseException:
        os.close(file)
        raise
    return file


def _free(file: int, data: Path) -> bool:
    """Whether the lock is ours now, and no server that somebody started by hand is here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if postmaster(data) is not None:
        return False
    (data / "postmaster.pid").unlink(missing_ok=True)  # or a process that has its id now would keep Postgres away
    return True


def postmaster(data: Path) -> int | None:
    """The process id of the server that runs on this data."""
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
