"""The directory of an `up`, and the logs that a mirror follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.config.deployment import DeploymentDir
from mintmark.config.trust_store import TrustStore
from mintmark.errors import Misconfigured, Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.formats import LogKind

ORIGIN = "registers.example/country"


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


def test_what_a_mirror_follows(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    for name in ("country", "field", "secret-list"):
        place.adopt(f"registers.example/{name}")
    place.config.write_text(
        '[mirror]\ndatabase = "x"\nsources = ["a:1"]\ntrust = "trust"\nlogs = ["*"]\nexclude = ["secret-*"]\n'
    )
    trust_store = TrustStore(place.config)
    assert sorted(trust_store.load().trust) == ["registers.example/country", "registers.example/field"]
    before = trust_store.stamp()
    place.adopt("registers.example/currency")
    assert trust_store.stamp() != before
    assert "registers.example/currency" in trust_store.load().trust
    place.config.write_text(place.config.read_text().replace('["*"]', '["registers.example/c*"]'))
    assert sorted(trust_store.load().trust) == ["registers.example/country", "registers.example/currency"]


def test_a_mirror_without_keys(tmp_path: Path) -> None:
    config = tmp_path / "mintmark.toml"
    config.write_text('[mirror]\ndatabase = "x"\nsources = ["a:1"]\ntrust = "trust"\n')
    with pytest.raises(Misconfigured, match="is not a directory"):
        TrustStore(config).load()


@pytest.mark.parametrize(("name", "kind"), [("Food", "register"), ("x.json", "opaque"), ("caf\xe9", "register")])
def test_a_log_that_could_not_be_linked_gets_no_key(tmp_path: Path, name: str, kind: LogKind) -> None:
    place = DeploymentDir(tmp_path)
    with pytest.raises(Rejected, match="cannot be the name of"):
        place.adopt(f"registers.example/{name}", kind=kind)
    assert not place.keys.exists()
    there = place.adopt("registers.example/Food", kind="opaque")
    assert place.adopt("registers.example/Food") == there
