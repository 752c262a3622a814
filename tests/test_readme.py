"""The commands of README.md and of docs/, one after the other as a reader would; what the pages promise of them."""

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

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)]
COMMANDS = re.findall(r"^\$ (.*)$", "\n".join(BLOCKS), re.MULTILINE)
SCRIPTS = [command for command in COMMANDS if command.startswith("scripts/")]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """A shell in a directory where `scripts/up` runs, with `mintmark` on its path."""
    directory = tmp_path_factory.mktemp("reader")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with up(directory / ".mintmark") as running:

        def run(command: str) -> subprocess.CompletedProcess[str]:
            here = command.replace("http://127.0.0.1:8080", running.ready["http"])
            env = {**os.environ, "PATH": path}
            return subprocess.run(here, shell=True, cwd=directory, env=env, capture_output=True, text=True, timeout=120)

        yield run


def test_it_opens_with_two_commands() -> None:
    assert COMMANDS[:2] == ["scripts/up", "scripts/test"]
    for command in SCRIPTS:
        assert os.access(ROOT / command.split()[0], os.X_OK)


def test_every_command_does_what_it_says(shell: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    for command in COMMANDS:
        if command in SCRIPTS or command.startswith("export "):
            continue
        done = shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert ("exit 3" in done.stdout) == ("forged" in command and "sed" not in command), command
        assert done.stdout or command.startswith(("cp ", "sed ", "printf ", "mintmark export ")), command
