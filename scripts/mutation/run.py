"""Runs tests on changed copies of the tree.

Each job has a copy of its own. The tests pass there without a change first: a test that fails anyway notices nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mutation.model import Mutant

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "bench-results", "*.so.tmp")
TEST_SECONDS, RUN_SECONDS = 120, 600  # for one test, and for all tests of a mutant

Outcome = Literal["noticed", "survived", "hung", "equivalent"]


@dataclass(frozen=True, slots=True)
class Result:
    """What the tests made of a mutant, and the first test that failed."""

    mutant: Mutant
    outcome: Outcome
    test: str = ""

    @property
    def good(self) -> bool:
        """True if a test failed, or none can."""
        return self.outcome in ("noticed", "equivalent")


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of the project beside the original, so that ../shared is found from it too."""
    with TemporaryDirectory(prefix=".mutants-", dir=ROOT.parent) as directory:
        tree = Path(directory) / ROOT.name
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT, symlinks=True)
        (Path(directory) / "shared").symlink_to(ROOT.parent / "shared")
        (tree / ".venv").symlink_to(ROOT / ".venv")
        yield tree


def check_passes(tree: Path, tests: str) -> None:
    """Checks that tests pass, and are the tree's. Raises RuntimeError."""
    code = "import mintmark, pathlib; print(pathlib.Path(mintmark.__file__).parents[2])"
    where = subprocess.run([sys.executable, "-c", code], env=_environ(tree), capture_output=True, text=True, check=True)
    if Path(where.stdout.strip()) != tree:
        raise RuntimeError(f"tests in {tree} would run the code of {where.stdout.strip()}")
    if (failed := _run_tests(tree, tests)) is not None:
        raise RuntimeError(f"{tests} fails without a change: {failed}")


def try_mutant(tree: Path, mutant: Mutant) -> Result:
    """Makes the change, runs the tests, takes it back."""
    before = mutant.apply(tree)
    try:
        if mutant.equivalent:
            return Result(mutant, "equivalent", mutant.equivalent)
        failed = _run_tests(tree, mutant.tests)
    except subprocess.TimeoutExpired:
        return Result(mutant, "hung")
    finally:
        mutant.undo(tree, before)
    if failed is None:
        return Result(mutant, "survived")
    return Result(mutant, "hung" if "Timeout" in failed else "noticed", failed)


def _run_tests(tree: Path, tests: str) -> str | None:
    """Runs tests up to the first that fails; its line, or None where all passed."""
    options = ["-x", "-q", "--tb=line", "-p", "no:randomly", f"--timeout={TEST_SECONDS}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests.split()],
        cwd=tree, env=_environ(tree), capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR", "E "))]
    return lines[-1] if lines else (done.stdout + done.stderr)[-300:]


def _environ(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
