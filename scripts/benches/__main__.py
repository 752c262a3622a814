"""The command line of scripts/bench."""

from __future__ import annotations

import asyncio
import importlib
import signal
from pathlib import Path

import click

from benches.large import Large
from benches.report import Options, Report, aims_table
from benches.rig import Rig
from mintmark.errors import MintmarkError

# In the order of `all`: the last three share a deployment, and what runs idle beside the others should be nothing.
SUBJECTS = (
    *("spine", "append", "single", "ack", "visible", "mirror", "audit", "api", "many", "help"),
    *("memory", "growth", "proofs"),
)
RESULTS = Path(__file__).parents[2] / "bench-results"


def epilogue() -> str:
    """What each subject is."""
    lines = [f"  {name:<9} {importlib.import_module(f'benches.{name}').ABOUT}" for name in SUBJECTS]
    return "\b\n" + "\n".join(lines)


@click.command(epilog=epilogue())
@click.argument("subjects", nargs=-1, metavar="[NAME...|all]", type=click.Choice([*SUBJECTS, "all"]))
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="Rounds that count; one more is discarded.")
@click.option("--entries", type=click.IntRange(min=1024), default=None, help="The size of the logs.")
@click.option("--used", is_flag=True, help="The read database holds 200,000 entries of other registers before.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Where NAME.json is written.")
def main(subjects: tuple[str, ...], rounds: int | None, entries: int | None, used: bool, results: Path) -> None:
    """Measures this machine: what Mintmark does beside what it could at most, in the same interleaved run."""
    Rig.used = used
    chosen = list(SUBJECTS) if "all" in subjects else list(subjects or ("spine",))
    try:
        asyncio.run(measure(chosen, rounds, entries, results))
    except MintmarkError as error:
        raise click.ClickException(str(error)) from error
    except asyncio.CancelledError:
        raise click.Abort from None


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
    (results / "aims.md").write_text(aims_table(results))


if __name__ == "__main__":
    main(prog_name="scripts/bench")
