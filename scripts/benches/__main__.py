"""The command line of scripts/bench."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import signal
import sys
from pathlib import Path

import click

import benches
from benches.large import Large
from benches.report import Options, Report
from mintmark.errors import MintmarkError

TOOLS = ("__main__", "data", "http", "large", "load", "peers", "processes", "report", "rig", "seen")
RESULTS = Path(__file__).parents[2] / "bench-results"


def names() -> list[str]:
    """Every subject, by its module's name."""
    return [found.name for found in pkgutil.iter_modules(benches.__path__) if found.name not in TOOLS]


def epilogue() -> str:
    """What each subject is."""
    lines = [f"  {name:<9} {importlib.import_module(f'benches.{name}').ABOUT}" for name in names()]
    return "\b\n" + "\n".join(lines)


@click.command(epilog=epilogue())
@click.argument("subjects", nargs=-1, metavar="[NAME...|all]", type=click.Choice([*names(), "all"]))
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="Rounds that count; one more is discarded.")
@click.option("--entries", type=click.IntRange(min=1024), default=None, help="The size of the logs.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Where NAME.json is written.")
def main(subjects: tuple[str, ...], rounds: int | None, entries: int | None, results: Path) -> None:
    """Measures this machine: what Mintmark does beside what it could at most, in the same interleaved run."""
    chosen = names() if "all" in subjects else list(subjects or ("spine",))
    try:
        asyncio.run(measure(chosen, rounds, entries, results))
    except MintmarkError as error:
        raise click.ClickException(str(error)) from error


async def measure(chosen: list[str], rounds: int | None, entries: int | None, results: Path) -> None:
    """One subject after another. SIGTERM ends as Ctrl-C does: what was started is stopped."""
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with Large(entries) as large:
        options = Options(rounds, entries, large)
        for name in chosen:
            report: Report = await importlib.import_module(f"benches.{name}").run(options)
            report.show(name)
            report.save(results / f"{name}.json")


if __name__ == "__main__":
    sys.exit(main())
