"""What a command prints: results on stdout (text, or JSON with --json), everything else on stderr.

A progress bar shows on a terminal's stderr only, and rich is imported only then.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

T = TypeVar("T")


def emit(value: Mapping[str, Any]) -> None:
    """One JSON object, on a line of its own, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def echo(message: str) -> None:
    """A remark to the person who watches."""
    click.echo(message, err=True)


def answer(as_json: bool, value: Mapping[str, Any], text: str) -> None:
    """The result of a command, in the form that was asked for."""
    if as_json:
        emit(value)
    else:
        click.echo(text)


def run(work: Coroutine[Any, Any, T], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Runs the asynchronous part of a command; Ctrl-C cancels it and its cleanup runs."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


def run_until_stopped(
    server: Coroutine[Any, Any, None], loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    """Runs a server until SIGINT or SIGTERM, and lets it clean up: to stop is what ends it, not a failure."""

    async def main() -> None:
        task = asyncio.ensure_future(server)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, _stop_once, task)
        with suppress(asyncio.CancelledError):
            await task

    run(main(), loop)


def _stop_once(task: asyncio.Future[None]) -> None:
    """A second Ctrl-C must not cut the cleanup short."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None)
    task.cancel()


@contextmanager
def progress(label: str, total: int | None, as_json: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar towards `total`; call what it gives with each step forward."""
    if as_json or not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)


def state_directory() -> Path:
    """What commands remember for this user between their runs (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mintmark"
