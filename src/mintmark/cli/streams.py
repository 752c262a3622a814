"""The process's own streams, whatever it was started with: closed, full, or with an encoding that lacks our characters.

    stdin     closed: reading it fails (`files.read_stdin`)
    stdout    what cannot be written is an error, by name, and never passes for success
    stderr    holds remarks; one that cannot be written stops nothing

A closed stream is opened on the null device, the other way round than it is used: else the next file or socket would
get its number, and what is printed would go there.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

STDOUT = "stdout"  # the file that an error of it names
_CLOSED_MODES = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)  # of stdin, stdout, stderr


class _Output(io.FileIO):
    """Stdout. Its errors name it."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OSError(error.errno, reason, STDOUT) from None


class _Remarks(io.FileIO):
    """Stderr. Nobody reads what it does not take."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Replaces the streams of this process by ones that behave as above."""
    for number, mode in enumerate(_CLOSED_MODES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free, which is this one
    sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Remarks(2, "w", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    """A stream of text; characters that the encoding has not are written as Python escapes them."""
    encoding = before.encoding if before is not None else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True)


def drop_output() -> None:
    """Forgets what stdout did not take, so that it is not tried again when the process ends."""
    if isinstance(getattr(getattr(sys.stdout, "buffer", None), "raw", None), _Output):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
