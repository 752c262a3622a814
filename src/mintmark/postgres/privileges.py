"""The user that the embedded Postgres runs as: Postgres refuses root, so root's child gives up its rights.

The user is the owner of the data, else `postgres` or `nobody`, whichever the system has. Where that user cannot reach
the programs or the data (in /root, in a home of mode 0700), one capability lets the child pass: no mode changes, no
file is copied, and the directory stays protected from others.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

UNPRIVILEGED_USERS = ("postgres", "nobody")
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of PGDATA, PGOPTIONS… reaches the server
EXEC_WRAPPER = Path(__file__).with_name("exec_wrapper.py")
# Tried in this order: none, CAP_DAC_READ_SEARCH, and CAP_DAC_OVERRIDE for containers without the former.
CAPABILITIES = (-1, 2, 1)


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user and group to run as (-1: as we are), and the capability to keep (-1: none)."""

    uid: int = -1
    gid: int = -1
    capability: int = -1

    def command_line(self, directory: Path, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in `directory` as this user, until this process ends."""
        numbers = map(str, (os.getpid(), self.uid, self.gid, self.capability))
        return [sys.executable, "-I", "-S", str(EXEC_WRAPPER), *numbers, str(directory), *command]


async def choose_user(directory: Path, program: Path, users: Sequence[str] = UNPRIVILEGED_USERS) -> RunAs:
    """The user for this directory, which becomes its owner. Raises Misconfigured where none can reach it."""
    if os.geteuid() != 0:
        return RunAs()
    uid, gid = _owner(directory, users)
    for capability in CAPABILITIES:
        run_as = RunAs(uid, gid, capability)
        if await _reaches(run_as, directory, program):
            return run_as
    raise Misconfigured(
        f"user {uid}, which Postgres would run as, cannot reach {directory} or {program}; choose a directory outside "
        "of /root with --dir, or run as an ordinary user"
    )


def _owner(directory: Path, users: Sequence[str]) -> tuple[int, int]:
    """The user and group of the directory or its data; where root owns both, they become an unprivileged user's."""
    status = directory.stat()
    if status.st_uid != 0:
        return status.st_uid, status.st_gid
    if (directory / "data").exists() and (status := (directory / "data").stat()).st_uid != 0:
        uid, gid = status.st_uid, status.st_gid
    else:
        uid, gid = _unprivileged(users)
    os.chown(directory, uid, gid)
    return uid, gid


def _unprivileged(users: Sequence[str]) -> tuple[int, int]:
    for name in users:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise Misconfigured(f"the system has no user {' or '.join(users)} for Postgres; run as an ordinary user")


async def _reaches(run_as: RunAs, directory: Path, program: Path) -> bool:
    """True if the program runs there: it is tried, for modes alone do not tell."""
    process = await asyncio.create_subprocess_exec(
        *run_as.command_line(directory, [str(program), "-V"]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    return await process.wait() == 0
