"""Child processes that are kept running: started again when they die, stopped with the parent.

Each child is its own process group, so a terminal's Ctrl-C reaches the parent alone, which stops them in its order.
The children of a parent that is killed get SIGTERM from the kernel (`end_with_parent`).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from mintmark.aio import Backoff
from mintmark.cli.output import echo
from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self

T = TypeVar("T")

FIRST_RESTART_SECONDS, MAX_RESTART_SECONDS = 0.2, 5.0
STEADY_SECONDS = 10.0  # of life, after which the back-off begins anew
STOP_SECONDS = 10.0  # from SIGTERM to SIGKILL
PARENT_VARIABLE = "MINTMARK_PARENT"  # in a child's environment: the process id of its `up`
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Child:
    """A `mintmark` command to keep running, and the variables that it gets beside our own environment."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    async def start(self) -> asyncio.subprocess.Process:
        """Starts it; its output goes to the end of its log."""
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "mintmark", *self.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment, PARENT_VARIABLE: str(os.getpid())},
                process_group=0,
            )

    def last_line(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1].removeprefix("mintmark: ") if lines else "its log is empty"


class Supervisor:
    """Keeps children running for the time of an `async with` block, and stops them all together at its end."""

    def __init__(self) -> None:
        self.settled = False  # while false, a child that ends by itself is an error, and is not started again
        self._keepers: list[asyncio.Task[None]] = []
        self._processes: dict[str, asyncio.subprocess.Process] = {}  # those that run, by the child's name
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._failure.cancel()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to every child that runs."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def start(self, child: Child) -> None:
        """Starts a child and keeps it running."""
        keeper = asyncio.create_task(self._keep(child))
        keeper.add_done_callback(self._ended)
        self._keepers.append(keeper)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises MintmarkError as soon as a child ends by itself before all is settled."""
        task = asyncio.ensure_future(work)
        try:
            waited: set[asyncio.Future[Any]] = {task, self._failure}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and (error := keeper.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def _keep(self, child: Child) -> None:
        backoff = Backoff(FIRST_RESTART_SECONDS, MAX_RESTART_SECONDS)
        while True:
            began = monotonic()
            try:
                code = await self._run(child)
            except OSError as error:  # no memory, no file to be had, no log: it may pass
                if not self.settled:
                    raise MintmarkError(f"{child.name} cannot be started: {error}") from error
                reason = str(error)
            else:
                if code >= 0 and not self.settled:
                    raise MintmarkError(f"{child.name} did not start: {child.last_line()}")
                reason = _reason(code)
            if monotonic() - began > STEADY_SECONDS:
                backoff.reset()
            delay = backoff.next()
            echo(f"{child.name} ended ({reason}) and starts again in {delay:.1f} s; its log is {child.log}")
            await asyncio.sleep(delay)

    async def _run(self, child: Child) -> int:
        process = self._processes[child.name] = await child.start()
        try:
            return await process.wait()
        finally:
            del self._processes[child.name]
            await asyncio.shield(_stop(process))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def end_with_parent() -> None:
    """Has the kernel send this process SIGTERM when the `up` that started it ends, in whatever way."""
    parent = os.environ.pop(PARENT_VARIABLE, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before the kernel was told
        raise MintmarkError("the `mintmark up` that started this has ended")
