"""Rounds, samples, ratios: as tables on the terminal, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from benches.large import Large

    Case = Callable[[], Awaitable[float]]


WIDTH = 110  # columns, where there is no terminal to ask


@dataclass(frozen=True)
class Options:
    """What the command line says (None: the subject's own choice), and what subjects share."""

    rounds: int | None
    entries: int | None
    large: Large


@dataclass
class Sample:
    """One thing measured in every round. `unit` is that of its values."""

    what: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass
class Aim:
    """A number beside the one that it should reach, or stay under where `most` is set. Without an aim: to be read."""

    what: str
    value: float
    aim: float | None = None
    most: bool = False

    @property
    def reached(self) -> bool | None:
        if self.aim is None:
            return None
        return self.value <= self.aim if self.most else self.value >= self.aim

    def words(self) -> tuple[str, str, str]:
        """The number, the aim and the verdict as they are shown."""
        value = f"{self.value:,.2f}" if abs(self.value) < 100 else f"{self.value:,.0f}"
        aim = "" if self.aim is None else f"{'≤' if self.most else '≥'} {self.aim:,.10g}"
        return value, aim, {None: "", True: "reached", False: "missed"}[self.reached]


@dataclass
class Usage:
    """What a process took: CPU seconds, and the most memory it held, in MB."""

    process: str
    cpu: float
    peak: float


async def interleave(cases: Mapping[str, Case], rounds: int) -> dict[str, list[float]]:
    """Runs the cases in turn, `rounds` times and once before, which is discarded. Every other round goes backwards."""
    values: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in list(cases.items())[:: -1 if number % 2 else 1]:
            value = await case()
            if number:
                values[name].append(value)
    return values


@dataclass
class Report:
    """The result of one subject."""

    title: str
    samples: list[Sample] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)

    def add(self, values: Mapping[str, list[float]], unit: str) -> None:
        """Samples out of rounds."""
        self.samples += [Sample(what, unit, numbers) for what, numbers in values.items()]

    def values(self, what: str) -> list[float]:
        """Those of a sample."""
        return next(sample.values for sample in self.samples if sample.what == what)

    def compare(self, what: str, to: str, aim: float | None = None, *, most: bool = False) -> None:
        """The ratio of two samples, round by round."""
        ratios = [ours / theirs for ours, theirs in zip(self.values(what), self.values(to), strict=True)]
        self.aims.append(Aim(f"{what} / {to}", median(ratios), aim, most))

    def limit(self, what: str, aim: float, *, most: bool = False) -> None:
        """A sample beside a number that it should reach."""
        self.aims.append(Aim(what, median(self.values(what)), aim, most))

    def show(self, name: str) -> None:
        """Prints tables."""
        console = Console()
        console.width = max(console.width, WIDTH)
        console.print(f"\n[bold]{name}[/]: {self.title}")
        table = Table("what", "median", "min–max", "unit")
        for sample in self.samples:
            spread = f"{number(min(sample.values))}–{number(max(sample.values))}"
            table.add_row(sample.what, number(sample.median), spread, sample.unit)
        console.print(table)
        if self.aims:
            console.print(self._aims())
        if self.usage:
            table = Table("process", "CPU s", "peak MB")
            for used in self.usage:
                table.add_row(used.process, f"{used.cpu:.2f}", f"{used.peak:.0f}")
            console.print(table)

    def _aims(self) -> Table:
        table = Table("number or ratio", "", "aim", "")
        for found in self.aims:
            colour = {None: "dim", True: "green", False: "red"}[found.reached]
            table.add_row(found.what, *found.words()[:2], f"[{colour}]{found.words()[2]}[/]")
        return table

    def save(self, file: Path) -> None:
        """Writes every number as JSON."""
        machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        document = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **machine, **asdict(self)}
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def aims_table(results: Path) -> str:
    """Every aim of the results that are there, as one table in Markdown."""
    lines = ["| subject | number or ratio | measured | aim | |", "|---|---|---|---|---|"]
    for file in sorted(results.glob("*.json")):
        aims = (Aim(**found) for found in json.loads(file.read_text())["aims"])
        lines += [f"| {file.stem} | {aim.what} | {' | '.join(aim.words())} |" for aim in aims]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
