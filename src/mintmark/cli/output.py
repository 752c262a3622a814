"""The output of commands: results on stdout (text, or JSON with --json), everything else on stderr.

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
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from rich import progress as rich_progress

    from mintmark.tlog.checkpoint import Checkpoint

T = TypeVar("T")

MAX_WARNINGS_SHOWN = 10  # of an import, in full
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def emit(value: Mapping[str, Any]) -> None:
    """Prints a JSON object on a line of its own, and flushes."""
    is_unicode = sys.stdout.encoding.lower().replace("_", "-").startswith("utf")
    sys.stdout.write(json.dumps(value, ensure_ascii=not is_unicode, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def echo(message: str) -> None:
    """Prints a remark for a person, on stderr."""
    click.echo(message, err=True)


def answer(as_json: bool, value: Mapping[str, Any], text: str) -> None:
    """Prints the result of a command: `value` as JSON, or `text`."""
    if as_json:
        emit(value)
    else:
        click.echo(text)


def printable(data: str | bytes) -> str:
    """A text or bytes of somebody else's, safe for a terminal: what does not print is escaped, and so is a backslash.

    Besides control characters, that is what turns the direction of writing, and what is invisible.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
    return "".join([char if char.isprintable() and char != "\\" else _escaped(char) for char in text])


def _escaped(char: str) -> str:
    byte = ord(char) - 0xDC00  # of a byte that is no UTF-8
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else char.encode("unicode_escape").decode()


def run(work: Coroutine[Any, Any, T], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Runs the asynchronous part of a command; Ctrl-C cancels it and its cleanup runs."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


def run_until_stopped(
    server: Coroutine[Any, Any, None],
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    stops: Sequence[signal.Signals] = STOP_SIGNALS,
) -> None:
    """Runs a server until SIGINT or SIGTERM, which are no failures, and lets it clean up."""

    async def main() -> None:
        task = asyncio.ensure_future(server)
        for number in stops:
            asyncio.get_running_loop().add_signal_handler(number, _stop_once, task, stops)
        with suppress(asyncio.CancelledError):
            await task

    run(main(), loop)


def _stop_once(task: asyncio.Future[None], stops: Sequence[signal.Signals]) -> None:
    """A second Ctrl-C must not cut the cleanup short."""
    loop = asyncio.get_running_loop()
    for number in stops:
        loop.add_signal_handler(number, lambda: None)
    task.cancel()


@contextmanager
def progress(label: str, total: int | None, as_json: bool = False) -> Iterator[Callable[[int], None]]:
    """Shows a bar towards `total`; yields the function that moves it by a number of steps."""
    if as_json or not sys.stderr.isatty():
        yield lambda steps: None
        return
    with _bar() as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def progress_to(label: str, as_json: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar; yields the function that moves it to a number of steps done, of so many in all."""
    if as_json or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with _bar() as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar() -> rich_progress.Progress:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
    )
    return rich.Progress(*columns, console=Console(stderr=True), transient=True)


def describe_head(head: Checkpoint) -> dict[str, object]:
    """A verified head for a machine."""
    return {"origin": head.origin, "size": head.size, "root": head.root.hex(), "note": head.note.decode()}


def echo_admitted(warnings: Sequence[str]) -> None:
    """Prints what the legacy mode admitted, the first few in full."""
    for warning in warnings[:MAX_WARNINGS_SHOWN]:
        echo(f"admitted: {warning}")
    if len(warnings) > MAX_WARNINGS_SHOWN:
        echo(f"admitted: {len(warnings) - MAX_WARNINGS_SHOWN} more like these")


def state_directory() -> Path:
    """The directory of what commands remember for a user between runs (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mintmark"
