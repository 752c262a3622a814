"""Public keys: read strictly, and found by a log's name or by the origin that a proof names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.client.keys import KeyRing, TrustedLog, parse_vkeys, read_vkeys
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import BadSignature, Malformed, Misconfigured
from mintmark.tlog.note import MLDSA44, generate_skey

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "registers.example/country"


def test_keys_of_two_logs_in_one_file(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    mixed = [*place.adopt(ORIGIN), *place.adopt("registers.example/field")]
    with pytest.raises(Malformed, match="several origins"):
        parse_vkeys("\n".join(key.vkey for key in mixed))
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_vkeys(tmp_path / "none.vkey")
    (tmp_path / "bad.vkey").write_bytes(b"\xff")
    with pytest.raises(Malformed, match="not UTF-8"):
        read_vkeys(tmp_path / "bad.vkey")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two logs' keys, and a file that is none."""
    place = DeploymentDir(tmp_path)
    for name in ("country", "field"):
        place.adopt(f"registers.example/{name}")
    (place.trust / "damaged.vkey").write_text("what is this")
    return place.trust


def test_a_log_by_its_name_or_origin(directory: Path) -> None:
    for keys in (directory, str(directory), [directory / "country.vkey"], (directory / "country.vkey").read_text()):
        for name in ("country", ORIGIN):
            log = KeyRing(keys).log(name)
            assert (log.origin, log.name) == (ORIGIN, "country")
            assert log.verifiers == read_vkeys(directory / "country.vkey")
    assert KeyRing(log).log("country") == log


def test_all_keys_of_a_log_go_together(directory: Path) -> None:
    second = generate_skey(ORIGIN, MLDSA44).vkey
    log = KeyRing([directory / "country.vkey", second, directory / "field.vkey"]).log("country")
    assert log == TrustedLog(ORIGIN, (*read_vkeys(directory / "country.vkey"), *parse_vkeys(second)))


def test_a_log_whose_key_is_not_here(directory: Path) -> None:
    with pytest.raises(Misconfigured, match="did you mean 'country'"):
        KeyRing(directory).log("contry")
    with pytest.raises(Misconfigured, match=r"no key of zebra is known: .*zebra.vkey is not there; give the log's key"):
        KeyRing(directory).log("zebra")
    with pytest.raises(Misconfigured, match=f"the key is of {ORIGIN}, not of field"):
        KeyRing(directory / "country.vkey").log("field")
    with pytest.raises(Misconfigured, match=r"not of other\.example/country"):
        KeyRing(directory).log("other.example/country")
    with pytest.raises(Malformed, match=r"damaged.vkey is not a public key"):
        KeyRing(directory).log("damaged")


def test_the_log_that_a_proof_names(directory: Path) -> None:
    assert KeyRing(directory).signer_of(ORIGIN).origin == ORIGIN
    with pytest.raises(BadSignature):
        KeyRing(directory / "field.vkey").signer_of(ORIGIN)
    with pytest.raises(BadSignature):
        KeyRing(directory).signer_of("other.example/country")
    with pytest.raises(Misconfigured, match=r"no key of 'registers\.example/zebra' is trusted here"):
        KeyRing(directory).signer_of("registers.example/zebra")
    with pytest.raises(Misconfigured, match="no keys are in"):
        KeyRing(directories=[directory / "none"]).signer_of(ORIGIN)
