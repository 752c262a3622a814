"""Faults in front of a person: one sentence that names the fix, the right exit code, and nothing half done."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.cli.run.up_files import sole_use
from mintmark.config.deployment import DeploymentDir
from mintmark.config.key_files import format_key_lines
from mintmark.files import write_durably
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.note import generate_skey
from tests.support.commands import configured, one_sentence, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.commands import Run

LOG = generate_skey("log.example/country")


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    """The directory of an `up`, which knows one log."""
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "country.vkey").write_bytes(format_key_lines([LOG.vkey]))
    return tmp_path


def test_a_log_that_is_not_known(run: Run, trust: Path) -> None:
    one_sentence(run("checkpoint", "contry", "--dir", trust), exits.ERROR, "did you mean 'country'?")
    one_sentence(run("checkpoint", "zebra", "--dir", trust), exits.ERROR, "--vkey", "--dir")
    one_sentence(run("checkpoint", "country", "--dir", trust / "not here"), exits.ERROR, "--vkey", "--dir")


@pytest.mark.parametrize("port", ["99999", "65536", "-1", "x", ""])
def test_a_port_that_is_none(run: Run, tmp_path: Path, port: str) -> None:
    result = run("up", "--dir", tmp_path / "up", "--grpc", f"127.0.0.1:{port}", "--no-samples")
    one_sentence(result, exits.ERROR, f"cannot listen on 127.0.0.1:{port}: it is not HOST:PORT", "--grpc")
    assert not (tmp_path / "up" / "postgres").exists()


@pytest.mark.parametrize("domain", ["two words", "", "a+b", "x" * 300])
def test_a_domain_that_begins_no_origin(run: Run, tmp_path: Path, domain: str) -> None:
    result = run("up", "--dir", tmp_path / "up", "--domain", domain, "--no-samples", "--grpc", "127.0.0.1:0")
    assert result.code == exits.USAGE
    assert "--domain" in result.err
    assert not (tmp_path / "up").exists()


@pytest.mark.parametrize("origin", ["log.example/", "/", "log.example/.", "log.example/..", ".."])
@pytest.mark.parametrize("options", [(), ("--cosigner",)])
def test_an_origin_without_a_name(run: Run, tmp_path: Path, origin: str, options: tuple[str, ...]) -> None:
    one_sentence(run("keygen", origin, "-o", tmp_path / "keys", *options), exits.ERROR, "last segment")
    assert not (tmp_path / "keys").exists()


def test_where_nothing_can_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("keygen", "log.example/a", "-o", tmp_path / "file" / "keys")
    one_sentence(result, exits.ERROR, "file/keys/a.key cannot be written: Not a directory")


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    for data in (b"old", b"new"):
        write_durably(link, data)
    assert (link.is_symlink(), target.read_bytes()) == (True, b"new")
    os.mkfifo(pipe)
    with os.fdopen(os.open(pipe, os.O_RDWR | os.O_NONBLOCK), "rb") as reader:
        write_durably(pipe, b"through")
        assert reader.read(7) == b"through"
    assert pipe.is_fifo()


def test_what_was_in_the_directory_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    with sole_use(DeploymentDir(tmp_path)):
        assert (tmp_path / ".gitignore").read_text() == "*.pyc\n"
    with sole_use(DeploymentDir(tmp_path / "new")):
        assert (tmp_path / "new" / ".gitignore").read_text() == "*\n"


def test_what_the_system_refuses(run: Run, tmp_path: Path) -> None:
    where = ("--grpc", "127.0.0.1:1", "--vkey", LOG.vkey)
    one_sentence(run("checkpoint", "country", *where, "--token", tmp_path), exits.ERROR, f"{tmp_path}: Is a directory")


def test_where_a_directory_is(run: Run, trust: Path) -> None:
    for options in (("-o", trust, "--entry-out", trust / "e"), ("-o", trust / "p", "--entry-out", trust)):
        result = run("prove", "country", "--dir", trust, "--index", "0", *options)
        assert result.code == exits.USAGE
        assert "is a directory" in result.err
    assert run("audit", "country", "--dir", trust, "--state", trust).code == exits.USAGE


def test_an_item_that_is_no_json(run: Run, trust: Path) -> None:
    for item in ("nonsense", "[]", '{"country":1}'):
        result = run("append", "country", "--dir", trust, "--key", "GB", "--item", item)
        one_sentence(result, exits.ERROR, "the item: ")


def test_a_range_that_ends_before_it_starts(run: Run, trust: Path) -> None:
    result = run("entries", "country", "--dir", trust, "--start", "3", "--end", "2")
    assert result.code == exits.USAGE
    assert "--end" in result.err


def test_evidence_is_checked_with_a_key_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By anybody: without a mirror, its database or its configuration."""
    monkeypatch.chdir(tmp_path)
    notes = [sign_checkpoint(LOG.name, 3, bytes([i]) * 32, [LOG]).note.decode() for i in range(2)]
    document = {"origin": LOG.name, "evidence": [{"error": "Fork", "notes": notes}]}
    (tmp_path / "evidence").write_text(json.dumps(document))
    result = run("evidence", "country", "--check", "evidence", "--vkey", LOG.vkey)
    assert (result.code, result.out) == (exits.OK, "log.example/country signed two trees of 3 entries\n"), result
    one_sentence(run("evidence", "country", "--check", "evidence"), exits.ERROR, "--vkey")
    document["evidence"] = [{"error": "Fork", "notes": [notes[0], notes[0]]}]
    (tmp_path / "evidence").write_text(json.dumps(document))
    one_sentence(run("evidence", "country", "--check", "evidence", "--vkey", LOG.vkey), exits.LIED, "do not contradict")


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_server_whose_port_is_taken(mint_db: str, read_db: str, trust: Path, taken: str) -> None:
    (trust / "tokens.toml").touch()
    files = {"keys": str(trust), "tokens": str(trust / "tokens.toml")}
    config = configured(trust, "mint", database=mint_db, listen=taken, **files)
    one_sentence(await spawn("mint", "--config", config), exits.ERROR, f"{taken} is taken", "[mint] listen")
    sources = {"sources": ["127.0.0.1:1"], "trust": str(trust / "trust")}
    config = configured(trust, "mirror", database=read_db, listen=taken, **sources)
    one_sentence(await spawn("mirror", "--config", config), exits.ERROR, f"{taken} is taken", "[mirror] listen")
    config = configured(trust, "api", database=read_db, listen=taken)
    one_sentence(await spawn("serve", "--config", config), exits.ERROR, f"{taken} cannot be bound", "[api] listen")


async def test_a_mirror_that_follows_nothing_has_not_done_it(read_db: str, trust: Path) -> None:
    sources = {"sources": ["127.0.0.1:1"], "trust": str(trust / "trust"), "logs": ["contry"]}
    config = configured(trust, "mirror", database=read_db, **sources)
    one_sentence(await spawn("mirror", "--once", "--config", config), exits.ERROR, "no log is followed")


@pytest.mark.parametrize("command", [("status",), ("evidence", "country"), ("resume", "country")])
async def test_a_database_without_tables_or_of_the_mint(
    new_database: Callable[[str | None], str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    config = tmp_path / "mintmark.toml"
    for kind, said in ((None, "start mintmark mirror on it once"), ("mint", "this is a mint database")):
        config = configured(
            tmp_path, "mirror", database=new_database(kind), sources=["127.0.0.1:1"], trust=str(tmp_path)
        )
        one_sentence(await spawn(*command, "--config", config), exits.ERROR, said)
    config.write_text(config.read_text().replace("dbname=", "dbname=nobody_"))
    one_sentence(await spawn(*command, "--config", config), exits.NOT_YET, "the database cannot be reached", "nobody")
