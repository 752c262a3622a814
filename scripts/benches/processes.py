"""Processes of a benchmark: started, measured from /proc, stopped by their ids; none outlives the benchmark."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benches.report import Usage
from mintmark.cli.run.supervisor import PARENT_VARIABLE
from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

NAMED = ("--full", "mint", "read")  # arguments by which a command is known in a table
LOOK = 0.02  # seconds between looks at the memory of a command
TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """CPU seconds of a process, its ended children and those that live."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, fields[11:15])) / TICK + sum(cpu(child) for child in children(pid))
    except OSError:
        return 0.0


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def peak(pid: int) -> float:
    """The most resident memory that a process had, or one of its children that live, in MB."""
    return max(_memory(pid, "VmHWM:"), *map(peak, children(pid)), 0.0)


def resident(pid: int) -> float:
    """The resident memory of a process, in MB."""
    return _memory(pid, "VmRSS:")


def _memory(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)


class Meter:
    """The CPU seconds of a process since it was made."""

    def __init__(self, name: str, pid: int) -> None:
        self._name, self._pid, self._before = name, pid, cpu(pid)

    def read(self) -> Usage:
        return Usage(self._name, cpu(self._pid) - self._before, peak(self._pid))


def command(arguments: Sequence[str]) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "mintmark", *arguments)


@asynccontextmanager
async def running(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `mintmark` server that runs until the block ends. Where it dies first, the block ends with what it printed."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command(arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, PARENT_VARIABLE: str(os.getpid()), **(environment or {})},
            process_group=0,
        )
    task = asyncio.current_task()
    watching = asyncio.create_task(_watch(process, task))
    try:
        yield process
    except asyncio.CancelledError:
        if process.returncode is None or task is None:
            raise
        task.uncancel()
        raise MintmarkError(f"mintmark {arguments[0]} ended ({process.returncode}): {log.read_text()}") from None  # noqa: ASYNC240  # all is over
    finally:
        watching.cancel()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _watch(process: asyncio.subprocess.Process, task: asyncio.Task[object] | None) -> None:
    """Ends whoever waits for a server that has died."""
    await process.wait()
    if task is not None:
        task.cancel()


async def cli(*arguments: str, used: dict[str, Usage] | None = None) -> float:
    """Runs a `mintmark` command to its end; its seconds. `used` gets what it took, by the command's name.

    Raises MintmarkError where it fails.
    """
    began, held = time.perf_counter(), 0.0
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command(arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # noqa: ASYNC220
        ended = asyncio.ensure_future(asyncio.to_thread(os.wait4, process.pid, 0))
        while not ended.done():
            held = max(held, peak(process.pid))  # what wait4 says counts our own memory, from before the exec
            await asyncio.wait([ended], timeout=LOOK)
        _, status, usage = ended.result()
        seconds, process.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode:
            raise MintmarkError(f"mintmark {' '.join(arguments)}: {out.read().decode()}")
    if used is not None:
        name = " ".join(["mintmark", arguments[0], *(part for part in arguments[1:] if part in NAMED)])
        used[name] = Usage(name, usage.ru_utime + usage.ru_stime, held)
    return seconds
