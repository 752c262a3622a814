"""The commands of README.md and docs/, and the Python of README.md and docs/library.md, run as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.up import up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.up import Up

    Shell = Callable[[str], subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)]
EXAMPLES = [
    re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    for page in (ROOT / "README.md", ROOT / "docs" / "library.md")
]
COMMANDS = re.findall(r"^\$ (.*)$", "\n".join(BLOCKS), re.MULTILINE)
SCRIPTS = [command for command in COMMANDS if command.startswith("scripts/")]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A deployment, in a directory where `scripts/up` runs."""
    with up(tmp_path_factory.mktemp("reader") / ".mintmark") as deployment:
        yield deployment


@pytest.fixture(scope="module")
def shell(running: Up) -> Shell:
    """A shell in that directory, with `mintmark` on its path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(command: str) -> subprocess.CompletedProcess[str]:
        here = command.replace("http://127.0.0.1:8080", running.ready["http"])
        env, directory = {**os.environ, "PATH": path}, running.directory.parent
        return subprocess.run(here, shell=True, cwd=directory, env=env, capture_output=True, text=True, timeout=120)

    return run


def test_it_opens_with_two_commands() -> None:
    assert COMMANDS[:2] == ["scripts/up", "scripts/test"]
    for command in SCRIPTS:
        assert os.access(ROOT / command.split()[0], os.X_OK)


def test_every_command_does_what_it_says(shell: Shell) -> None:
    for command in COMMANDS:
        if command in SCRIPTS or command.startswith("export "):
            continue
        done = shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        forging = command.startswith(("sed ", "printf "))
        assert ("exit 3" in done.stdout) == ("forged" in command and not forging), command
        assert done.stdout or command.startswith(("cp ", "sed ", "printf ", "mintmark export ")), command


@pytest.mark.parametrize("blocks", EXAMPLES, ids=["README.md", "library.md"])
def test_every_example_in_python_runs(running: Up, tmp_path: Path, blocks: list[str]) -> None:
    """All of a page in one process, each with the names of those before it; after the commands of the README."""
    assert blocks
    script = tmp_path / "examples.py"
    script.write_text("\n".join(f'{block}\nprint("block {number}")' for number, block in enumerate(blocks)))
    command, directory = [sys.executable, "-W", "error", script], running.directory.parent
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    # grpcio may hand an event to a loop that has ended, and prints that; it concerns no call.
    printed = "" if "PollerCompletionQueue" in done.stderr else done.stderr
    assert (done.returncode, printed) == (0, ""), done.stdout + done.stderr
    outputs = re.split(r"^block \d+\n", done.stdout, flags=re.MULTILINE)
    assert len(outputs) == len(blocks) + 1
    silent = [block for block, output in zip(blocks, outputs, strict=False) if ("print(" in block) != bool(output)]
    assert not silent
