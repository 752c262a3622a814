"""What a new user gets wrong: a wrong file, a wrong address, a step left out. One sentence says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.cli.keys import lines
from mintmark.tlog.note import generate_skey
from tests.cli.test_faults import one_sentence

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

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
    key.write_bytes(lines([LOG.vkey]))
    for file in (readme, key):
        result = run("verify", readme, "--entry", readme, "--policy", file)
        one_sentence(result, exits.ERROR, f"{file} is not a policy")
