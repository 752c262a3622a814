"""Files that are written as a whole or not at all, and files that are read more than once though they may be pipes.

A file that is written is written beside its place, synced, and moved there; then the directory is synced.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN_PATHS, STDIN_DESCRIPTOR = ("-", "/dev/stdin"), 0


@contextmanager
def durable(path: Path, *, mode: int = 0o644, replace: bool = True) -> Iterator[BinaryIO]:
    """A stream to a file, which appears as a whole, on disk, when the block ends well, and not at all otherwise.

    A path that is no file, such as a terminal, is written to as it is. A link stays, and its target is replaced.

    Raises:
        FileExistsError: there is a file, and `replace` is false.
        Misconfigured: the directory cannot be written to.
    """
    if replace and path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    path = path.resolve() if replace else path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}; choose another place") from error
    try:
        with os.fdopen(file, "wb") as stream:
            os.fchmod(file, mode)
            yield stream
            stream.flush()
            os.fsync(file)
        (os.replace if replace else os.link)(temporary, path)
        sync_directory(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def rereadable(path: Path) -> Iterator[BinaryIO]:
    """A stream of a file that can be read again from its beginning; `-` is stdin.

    A pipe gives its bytes once: they are copied to an unnamed temporary file first.
    """
    with _opened(path) as stream:
        if stream.seekable() and stream.tell() == 0:
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy)
            copy.seek(0)
            yield copy


def read_stdin() -> bytes:
    """All of stdin. Raises Misconfigured where it is closed."""
    with _opened(Path("-")) as stream:
        return stream.read()


def _opened(path: Path) -> BinaryIO:
    """A stream of a file. Stdin may be a socket, which cannot be opened by its path."""
    if str(path) in STDIN_PATHS:
        if fcntl.fcntl(STDIN_DESCRIPTOR, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            raise Misconfigured("stdin is closed, so that nothing can be read from it")
        return os.fdopen(os.dup(STDIN_DESCRIPTOR), "rb")
    return path.open("rb")


def refuse_pipe(path: Path) -> None:
    """Raises Misconfigured for a pipe where a file is read again, now or when it changes."""
    try:
        mode = path.stat().st_mode
    except OSError:  # whoever reads it says so
        return
    if stat.S_ISFIFO(mode):
        raise Misconfigured(f"{path} is a pipe, and is read more than once; save it in a file, and name that")


def write_durably(path: Path, data: bytes, *, mode: int = 0o644, replace: bool = True) -> None:
    """Writes a file as a whole: after a crash the old bytes are there or the new ones. Raises as `durable` does."""
    with durable(path, mode=mode, replace=replace) as stream:
        stream.write(data)


def sync_directory(path: Path) -> None:
    """Puts the names in a directory on disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def file_stamp(file: Path | str) -> object:
    """A value that changes when a file is written or replaced; None while it cannot be seen. Costs microseconds."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
