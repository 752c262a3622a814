"""The documentation's site builds without a warning, and holds the help of every command."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mintmark.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a built site."""
    target = tmp_path_factory.mktemp("site")
    options = ("-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", target)
    command = [sys.executable, "-m", "sphinx", *map(str, options)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    return target


def text_of(page: Path) -> str:
    """What a page says, without markup."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page.read_text()))


def letters(text: str) -> str:
    """A text without spaces, and without the marks of code."""
    return "".join(text.replace("`", " ").replace("\b", " ").split())


@pytest.fixture(scope="module")
def page(site: Path) -> str:
    """The letters of the page of commands."""
    return letters(text_of(site / "commands.html"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_is_in_it(page: str, name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    texts = [paragraph for paragraph in (command.help or "").split("\n\n") if paragraph.strip("\b\n ")]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            texts += [parameter.help or "", *parameter.opts]
    assert texts
    assert [text for text in texts if letters(text) not in page] == []


def test_the_python_reference_has_the_library(site: Path) -> None:
    text = (site / "python.html").read_text()
    for name in ("mintmark.errors.Untrusted", "mintmark.tlog.trust.LogVerifier", "mintmark.register.item.item_hash"):
        assert f'id="{name}"' in text


def test_every_kind_of_reader_finds_a_page(site: Path) -> None:
    index = text_of(site / "index.html")
    assert all(reader in index for reader in ("custodians", "analysts", "operators", "developers"))
