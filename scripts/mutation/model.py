"""The lists of mutants: a TOML file for each room, with a table for each change.

tests = "tests/tlog"                    of every mutant that names none: arguments of pytest

[[mutant]]
file = "tlog/merkle.py"                 below src/mintmark
was = "if len(spans) != len(proof):"    found in the file exactly once
now = "if False:"
tests = "tests/tlog/test_merkle.py"
equivalent = "why no test can notice"   only where that is so
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

LISTS = Path(__file__).parent
ROOMS = tuple(sorted(file.stem for file in LISTS.glob("*.toml")))


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one file, and the tests that should notice it."""

    file: str
    was: str
    now: str
    tests: str
    equivalent: str = ""

    @property
    def title(self) -> str:
        """The file and the change, in one line."""
        was, now = (" ".join(text.split()) for text in (self.was, self.now))
        return f"{self.file}: {was[:60]} -> {now[:60] or 'nothing'}"

    def apply(self, tree: Path) -> str:
        """Makes the change in a tree; the file's text before it. Raises ValueError where the list does not fit."""
        file = tree / "src" / "mintmark" / self.file
        before = file.read_text()
        if (count := before.count(self.was)) != 1:
            raise ValueError(f"{self.file} has {self.was!r} {count} times, not once")
        file.write_text(before.replace(self.was, self.now))
        return before

    def undo(self, tree: Path, before: str) -> None:
        """Takes the change back."""
        (tree / "src" / "mintmark" / self.file).write_text(before)


def load(room: str) -> list[Mutant]:
    """The mutants of one room's list."""
    content = tomllib.loads((LISTS / f"{room}.toml").read_text())
    return [Mutant(**{"tests": content["tests"], **each}) for each in content["mutant"]]
