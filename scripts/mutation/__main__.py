"""The command line of scripts/mutants."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import Queue
from typing import TYPE_CHECKING

import click
from rich.progress import track

from mutation.model import ROOMS, load
from mutation.run import Result, check_passes, copied_tree, try_mutant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mutation.model import Mutant


@click.command()
@click.argument("rooms", nargs=-1, metavar="[ROOM...]", type=click.Choice(ROOMS))
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Mutants at once.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON a mutant.")
def main(rooms: tuple[str, ...], jobs: int, as_json: bool) -> None:
    """Changes one check at a time, and runs the tests that should notice."""
    mutants = [mutant for room in rooms or ROOMS for mutant in load(room)]
    try:
        results = run_all(mutants, jobs)
    except (RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for result in results:
        show(result, as_json)
    bad = [result for result in results if not result.good]
    counts = {name: sum(r.outcome == name for r in results) for name in ("noticed", "survived", "hung", "equivalent")}
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()), err=as_json)
    sys.exit(bool(bad))


def run_all(mutants: Sequence[Mutant], jobs: int) -> list[Result]:
    """Tries every mutant, each job on a tree of its own."""
    trees: Queue[Path] = Queue()

    def on_a_tree(work: Mutant | str) -> Result | None:
        tree = trees.get()
        try:
            return check_passes(tree, work) if isinstance(work, str) else try_mutant(tree, work)
        finally:
            trees.put(tree)

    with ExitStack() as stack:
        for _ in range(jobs):
            trees.put(stack.enter_context(copied_tree()))
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        tests = sorted({mutant.tests for mutant in mutants if not mutant.equivalent})
        work = [*tests, *mutants]
        done = track(pool.map(on_a_tree, work), "mutants", total=len(work), disable=not sys.stderr.isatty())
        return [result for result in done if result is not None]


def show(result: Result, as_json: bool) -> None:
    """One mutant, in a line."""
    if as_json:
        click.echo(json.dumps({"mutant": result.mutant.title, "outcome": result.outcome, "by": result.test}))
    elif not result.good or result.outcome == "equivalent":
        click.echo(f"{result.outcome}: {result.mutant.title}  {result.test}")


if __name__ == "__main__":
    main(prog_name="scripts/mutants")
