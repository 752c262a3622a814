from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.client.keys import parse_vkeys
from mintmark.mint.keys import read_keys
from mintmark.tlog.note import COSIGNATURE, MLDSA44

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Run

ORIGIN = "registers.example/country"


@pytest.mark.parametrize("options", [(), ("--mldsa",)])
def test_keygen(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    answer = json.loads(run("keygen", ORIGIN, "-o", tmp_path, "--json", *options).out)
    secret = tmp_path / "country.key"
    assert answer["key"] == str(secret)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert [signer.vkey for signer in read_keys(secret)] == answer["vkeys"]
    assert len(answer["vkeys"]) == 1 + len(options)
    assert {verifier.name for verifier in parse_vkeys("\n".join(answer["vkeys"]))} == {ORIGIN}
    assert all(key not in secret.read_text() for key in answer["vkeys"])


def test_a_key_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    assert run("keygen", ORIGIN, "-o", tmp_path).code == exits.OK
    before = (tmp_path / "country.key").read_bytes()
    result = run("keygen", ORIGIN, "-o", tmp_path)
    assert result.code == exits.ERROR
    assert "never overwritten" in result.err
    assert (tmp_path / "country.key").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["country.key"]


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nend"])
def test_an_origin_that_names_no_key(run: Run, tmp_path: Path, origin: str) -> None:
    assert run("keygen", origin, "-o", tmp_path).code == exits.ERROR
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "kind"), [((), COSIGNATURE), (("--mldsa",), MLDSA44)])
def test_a_cosigner_s_key(run: Run, tmp_path: Path, options: tuple[str, ...], kind: int) -> None:
    answer = json.loads(run("keygen", "mirror.example", "--cosigner", "-o", tmp_path, "--json", *options).out)
    (signer,) = read_keys(tmp_path / "mirror.example.key")
    assert (signer.kind, [signer.vkey]) == (kind, answer["vkeys"])


@pytest.mark.parametrize("name", ["x.json", "robots.txt", "a?b", "caf\xe9", "openapi"])
def test_a_log_that_could_not_be_linked_gets_no_key(run: Run, tmp_path: Path, name: str) -> None:
    said = run("keygen", f"registers.example/{name}", "-o", tmp_path)
    assert (said.code, f"{name!r} cannot be the name of a log" in said.err) == (exits.ERROR, True), said
    assert list(tmp_path.iterdir()) == []


def test_a_cosigner_may_have_any_name(run: Run, tmp_path: Path) -> None:
    said = run("keygen", "witness.example/caf\xe9", "--cosigner", "-o", tmp_path)
    assert (said.code, said.out.startswith("witness.example/caf\xe9+")) == (exits.OK, True), said
    (signer,) = read_keys(tmp_path / "caf\xe9.key")
    assert signer.name == "witness.example/caf\xe9"
