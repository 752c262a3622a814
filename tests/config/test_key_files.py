from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.config.deployment import DeploymentDir
from mintmark.config.key_files import parse_vkeys, read_keys, read_vkeys
from mintmark.config.trust_store import TrustStore
from mintmark.errors import Malformed, Misconfigured
from mintmark.tlog.note import COSIGNATURE, MLDSA44

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

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


def test_a_place_makes_a_key_once(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    keys = place.adopt(ORIGIN)
    assert place.adopt(ORIGIN) == keys
    (place.trust / "country.vkey").unlink()
    assert place.adopt(ORIGIN) == keys  # after a crash between the two files


def test_a_place_keeps_names_apart(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    place.adopt(ORIGIN)
    with pytest.raises(Misconfigured, match=f"is here already as {ORIGIN}"):
        place.adopt("other.example/country")
    (place.keys / "country.key").unlink()
    with pytest.raises(Misconfigured, match="whose secret key is not here"):
        place.adopt(ORIGIN)


def test_keys_of_two_logs_in_one_file(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    mixed = [*place.adopt(ORIGIN), *place.adopt("registers.example/field")]
    with pytest.raises(Malformed, match="several origins"):
        parse_vkeys("\n".join(key.vkey for key in mixed))
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_vkeys(tmp_path / "none.vkey")
    (tmp_path / "bad.vkey").write_bytes(b"\xff")
    with pytest.raises(Malformed, match="not ASCII"):
        read_vkeys(tmp_path / "bad.vkey")


def test_what_a_mirror_follows(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    for name in ("country", "field", "secret-list"):
        place.adopt(f"registers.example/{name}")
    place.config.write_text(
        '[mirror]\ndatabase = "x"\nsources = ["a:1"]\ntrust = "trust"\nlogs = ["*"]\nexclude = ["secret-*"]\n'
    )
    trusting = TrustStore(place.config)
    assert sorted(trusting.load().trust) == ["registers.example/country", "registers.example/field"]
    before = trusting.stamp()
    place.adopt("registers.example/currency")
    assert trusting.stamp() != before
    assert "registers.example/currency" in trusting.load().trust
    place.config.write_text(place.config.read_text().replace('["*"]', '["registers.example/c*"]'))
    assert sorted(trusting.load().trust) == ["registers.example/country", "registers.example/currency"]


def test_a_mirror_without_keys(tmp_path: Path) -> None:
    config = tmp_path / "mintmark.toml"
    config.write_text('[mirror]\ndatabase = "x"\nsources = ["a:1"]\ntrust = "trust"\n')
    with pytest.raises(Misconfigured, match="is not a directory"):
        TrustStore(config).load()


@pytest.mark.parametrize(("options", "kind"), [((), COSIGNATURE), (("--mldsa",), MLDSA44)])
def test_a_cosigner_s_key(run: Run, tmp_path: Path, options: tuple[str, ...], kind: int) -> None:
    answer = json.loads(run("keygen", "mirror.example", "--cosigner", "-o", tmp_path, "--json", *options).out)
    (signer,) = read_keys(tmp_path / "mirror.example.key")
    assert (signer.kind, [signer.vkey]) == (kind, answer["vkeys"])
