from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from mintmark import errors
from mintmark.cli import exits, main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Run

HEAVY = ("grpc", "psycopg", "pydantic", "rich", "starlette", "cryptography", "orjson", "rdflib")


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_help_shows_every_command_and_imports_nothing_heavy() -> None:
    look = f"print([module for module in {HEAVY} if module in sys.modules])"
    script = f"import sys; from mintmark.cli.main import main; main(['--help']); {look}"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert all(f"  {name} " in out for name in main.COMMANDS)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.code == exits.OK
    assert result.out.startswith(f"Usage: mintmark {name} ")


def test_the_table_says_what_the_commands_are() -> None:
    for name in main.COMMANDS:
        command = main.cli.get_command(click.Context(main.cli), name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("keygen", "log.example/a", "--json", "-o")])
def test_a_reader_that_goes_away(arguments: tuple[str, ...], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    arguments += (str(tmp_path),) if arguments[-1] == "-o" else ()
    command = [sys.executable, "-P", "-m", "mintmark", *arguments]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (exits.BROKEN_PIPE, b"")


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("mintmark 0.")


@pytest.mark.parametrize("kind", sorted(subclasses(errors.MintmarkError), key=lambda kind: kind.__name__))
def test_every_error_has_an_exit_code(kind: type[errors.MintmarkError]) -> None:
    later = (errors.NotAvailableYet, errors.Busy, errors.Unavailable)
    expected = 4 if issubclass(kind, later) else 3 if issubclass(kind, errors.Untrusted) else 1
    assert exits.exit_code(kind("why")) == expected


@pytest.mark.parametrize(
    "arguments", [("frob",), ("verify",), ("entries", "x", "--start", "-1"), ("prove", "x", "--what")]
)
def test_usage_is_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.code == exits.USAGE
    assert result.out == ""
    assert "Error: " in result.err


def test_a_misspelt_command_is_guessed(run: Run) -> None:
    assert "Did you mean 'checkpoint'?" in run("chekpoint").err


def test_errors_are_one_sentence_without_a_traceback(run: Run, tmp_path: Path) -> None:
    result = run("checkpoint", "country", "--dir", tmp_path)
    assert result.code == exits.ERROR
    assert result.err.startswith("mintmark: no key of country is known: ")
    assert result.err.count("\n") == 1


def test_errors_are_json_with_json(run: Run, tmp_path: Path) -> None:
    error = json.loads(run("checkpoint", "country", "--dir", tmp_path, "--json").err)["error"]
    assert (error["type"], error["exit"]) == ("Misconfigured", 1)
    error = json.loads(run("checkpoint", "--json").err)["error"]
    assert (error["type"], error["exit"]) == ("Usage", 2)


def test_a_traceback_with_debug(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINTMARK_DEBUG", "1")
    assert "Traceback" in run("checkpoint", "country", "--dir", tmp_path).err


def test_an_error_says_what_it_knows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise errors.Rejected("line 3: no", rule="schema", line=3)

    monkeypatch.setattr(main.cli, "main", refuse)
    error = json.loads(run("import", "--json").err)["error"]
    assert error == {"type": "Rejected", "message": "line 3: no", "exit": 1, "rule": "schema", "line": 3}


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), exits.INTERRUPTED, ""),
        (click.Abort(), exits.INTERRUPTED, ""),
        (errors.Fork("two heads"), exits.LIED, "mintmark: two heads\n"),
        (errors.Unavailable("nobody there"), exits.NOT_YET, "mintmark: nobody there\n"),
        (PermissionError(13, "Permission denied", "/x"), exits.ERROR, "mintmark: /x: Permission denied\n"),
        (ZeroDivisionError("by 0"), exits.ERROR, "mintmark: internal error, ZeroDivisionError: by 0; run it again"),
    ],
)
def test_what_becomes_of_an_exception(
    run: Run, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(main.cli, "main", fail)
    result = run("up")
    assert result.code == code
    assert result.err.startswith(said)
