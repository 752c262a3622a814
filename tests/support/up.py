"""A whole deployment as processes: `mintmark up` in a directory of its own, and the commands that a user gives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START, STOP = 180, 60  # seconds
ANY_PORT = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")


class Up:
    """A running `mintmark up`; `ready` is the line that it printed."""

    def __init__(self, directory: Path, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.directory, self.process, self.ready = directory, process, ready

    def run(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """A client command against it."""
        return mintmark(*arguments, "--dir", self.directory, **options)


def mintmark(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """One command line; what it printed, and its exit code."""
    command = [sys.executable, "-P", "-m", "mintmark", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=START, **options)


@contextmanager
def up(directory: Path, *arguments: object, stop: int = signal.SIGTERM) -> Iterator[Up]:
    """`mintmark up` for the time of the block; it must end cleanly unless it was killed."""
    command = [sys.executable, "-P", "-m", "mintmark", "up", "--json", "--dir", str(directory), *ANY_PORT]
    log = directory.with_suffix(".stderr")
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=stderr, text=True, env=os.environ
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"`mintmark up` did not come up:\n{log.read_text()}"
        yield Up(directory, process, json.loads(line))
    finally:
        if process.poll() is None:
            process.send_signal(stop)
        code = process.wait(STOP)
        process.stdout.close()
    assert code in (0, -signal.SIGKILL), log.read_text()
