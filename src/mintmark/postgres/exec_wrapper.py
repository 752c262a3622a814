"""A program that gives up its rights, ties itself to its parent process, and becomes a command.

    python -I -S exec_wrapper.py PARENT UID GID CAPABILITY DIRECTORY COMMAND...

It runs as a file, before Postgres: between fork and exec, a process with threads can do nothing of this safely. Order
matters: the kernel forgets the parent-death signal when credentials change, so this is set last.

UID -1 keeps the user. CAPABILITY (-1: none) stays with the command after root is gone: CAP_DAC_READ_SEARCH lets it pass
through directories such as /root without a change to their modes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


def main(parent: str, uid: str, gid: str, capability: str, directory: str, *command: str) -> None:
    """Becomes the command, in the directory. Raises OSError where the kernel refuses."""
    if int(uid) >= 0:
        _drop(int(uid), int(gid), int(capability))
    if sys.platform == "linux":
        _call("prctl", _PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != int(parent):  # it ended before the signal was set
            return
    os.chdir(directory)
    os.umask(0o077)
    os.execv(command[0], command)  # noqa: S606  # no shell, on purpose


def _drop(uid: int, gid: int, capability: int) -> None:
    if capability >= 0:
        _call("prctl", _PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability >= 0:
        bit = 1 << capability  # both that we use are below 32
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        _call("capset", header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0))
        _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
