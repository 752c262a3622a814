"""Paths of unix sockets: libpq takes at most 107 bytes, and reads a comma as the end of one of several hosts.

A directory whose path does not fit is reached through a link in a directory that only we can write.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

from mintmark.errors import Misconfigured

LONGEST = 107  # bytes


def client_path(directory: Path, port: str) -> Path:
    """A path to the directory that libpq can take. Raises Misconfigured where the link cannot be made."""
    if "," not in str(directory) and len(os.fsencode(directory / f".s.PGSQL.{port}")) <= LONGEST:
        return directory
    home = _runtime() / f"mintmark-{os.geteuid()}"
    link = home / sha256(os.fsencode(directory)).hexdigest()[:16]
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        status = home.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise Misconfigured(f"{home} is not a private directory of ours; remove it")
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


def _runtime() -> Path:
    """Where links of this kind live until the machine restarts."""
    candidates = (Path(f"/run/user/{os.geteuid()}"), Path("/run"))
    return next((path for path in candidates if os.access(path, os.W_OK)), Path("/tmp"))  # noqa: S108  # checked there
