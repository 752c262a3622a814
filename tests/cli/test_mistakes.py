"""Mistakes of a new user: a wrong file, a wrong address, a step left out. One sentence says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.config.deployment import DeploymentDir
from mintmark.config.key_files import format_key_lines
from mintmark.tlog.note import generate_skey
from tests.support.commands import configured, one_sentence, spawn
from tests.support.places import mirror_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Run

LOG = generate_skey("log.example/country")
README = "# Countries\n\nA register – of countries.\nThe key is elsewhere.\n"


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    file = tmp_path / "README.md"
    file.write_text(README)
    return file


@pytest.mark.parametrize("data", [README.encode(), b"two\nlines", b"\xff\xfe"])
def test_a_file_that_is_no_token(run: Run, readme: Path, data: bytes) -> None:
    readme.write_bytes(data)
    where = ("--grpc", "127.0.0.1:1", "--vkey", LOG.vkey)
    result = run("append", "country", "entry", *where, "--token", readme)
    one_sentence(result, exits.ERROR, f"{readme} is not a token file")


def test_a_token_in_the_environment_that_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINTMARK_TOKEN", "two\nlines")
    result = run("append", "country", "entry", "--grpc", "127.0.0.1:1", "--vkey", LOG.vkey)
    one_sentence(result, exits.ERROR, "$MINTMARK_TOKEN")
    assert "two" not in result.err


def test_a_proof_checked_by_what_is_no_key(run: Run, readme: Path) -> None:
    result = run("verify", readme, "--entry", readme, "--vkey", readme)
    one_sentence(result, exits.ERROR, f"{readme} is not a public key")


def test_a_proof_checked_by_what_is_no_policy(run: Run, readme: Path) -> None:
    key = readme.with_name("country.vkey")
    key.write_bytes(format_key_lines([LOG.vkey]))
    for file in (readme, key):
        result = run("verify", readme, "--entry", readme, "--policy", file)
        one_sentence(result, exits.ERROR, f"{file} is not a policy")


@pytest.mark.parametrize("option", ["--grpc", "--http"])
def test_a_port_alone(run: Run, tmp_path: Path, option: str) -> None:
    result = run("up", "--dir", tmp_path / "up", "--no-samples", option, "8181")
    one_sentence(result, exits.ERROR, "8181 is not HOST:PORT; for instance 127.0.0.1:8181", option)


def test_where_publish_may_not_write(run: Run, tmp_path: Path) -> None:
    """A file where a directory has to be made: root may write anywhere else."""
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "web"
    config = mirror_config(tmp_path, "host=/nowhere", ["127.0.0.1:1"])
    result = run("publish", "country", "--to", target.as_uri(), "--config", config)
    one_sentence(result, exits.ERROR, f"cannot write to {target}: ")


@pytest.mark.parametrize("url", ["http://x.example/", "https://x.example/web", "ftp://x.example/", "web"])
def test_where_nothing_can_be_published(run: Run, tmp_path: Path, url: str) -> None:
    config = mirror_config(tmp_path, "host=/nowhere", ["127.0.0.1:1"])
    result = run("publish", "country", "--to", url, "--config", config)
    one_sentence(result, exits.ERROR, f"{url} is no object store", "file:///DIR")


@pytest.mark.parametrize("command", [("status",), ("fsck",), ("publish", "country", "--to", "file:///nowhere")])
def test_an_up_that_does_not_run(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    place = DeploymentDir(tmp_path)
    expected = f"nothing runs in {tmp_path}; start it with `mintmark up --dir {tmp_path}`"
    one_sentence(run(*command, "--dir", tmp_path), exits.NOT_YET, expected)
    database = {"database": "host=/nowhere dbname=x connect_timeout=1"}
    configured(tmp_path, "mirror", **database, sources=["127.0.0.1:1"], trust=str(place.trust))
    one_sentence(run(*command, "--dir", tmp_path), exits.NOT_YET, expected)


@pytest.mark.parametrize("command", [("mirror",), ("mirror", "--once"), ("catch-up", "country", "--from", "x:1")])
async def test_a_server_s_command_beside_an_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ".mintmark" not in (await spawn(*command)).err
    (tmp_path / ".mintmark").mkdir()
    (tmp_path / ".mintmark" / "mintmark.toml").touch()
    one_sentence(await spawn(*command), exits.ERROR, "--config .mintmark/mintmark.toml")


@pytest.mark.parametrize("command", [("append", "chese", "--tombstone", "x"), ("import", "chese")])
def test_a_log_to_write_that_is_not_made(run: Run, readme: Path, command: tuple[str, ...]) -> None:
    file = (readme, "--format", "csv") if command[0] == "import" else ()
    result = run(*command, *file, "--dir", readme.parent)
    one_sentence(result, exits.ERROR, "no key of chese is known", "`mintmark create chese`")


def test_keys_of_several_logs_where_one_is_meant(run: Run) -> None:
    other = generate_skey("log.example/other")
    for keys in ((LOG.vkey, other.vkey), (other.vkey, LOG.vkey)):
        options = ("--grpc", "127.0.0.1:1", "--vkey", keys[0], "--vkey", keys[1])
        result = run("checkpoint", "country", *options)
        one_sentence(result, exits.ERROR, "the key is of log.example/country, log.example/other, not of country")
    same = ("--grpc", "127.0.0.1:1", "--vkey", LOG.vkey, "--vkey", generate_skey(LOG.name).vkey)
    one_sentence(run("checkpoint", "country", *same), exits.NOT_YET, "127.0.0.1:1 cannot be reached")
