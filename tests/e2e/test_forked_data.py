"""A mint serves a fork of the data under the same origin and key: mirror and audit see it, and store nothing of it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.up import mintmark, up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.up import Up

REGISTERS = Path(__file__).parents[2].parent / "shared" / "registers"
DATA, FORKED = REGISTERS / "country.rsf", REGISTERS / "history" / "country-forked.rsf"
TABLES = ("log", "head", "tile", "bundle", "entry", "v1_tile", "checkpoint", "missing")

SIGNED = shutil.ignore_patterns("*.mark", "*.head", "*.lock")  # what a mint keeps beside its keys

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not FORKED.exists(), reason=f"the published registers are not at {REGISTERS}"),
]


@pytest.fixture
def honest(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "honest", "--register", DATA) as running:
        yield running


@pytest.fixture
def forked(tmp_path: Path, honest: Up) -> Iterator[Up]:
    """The same keys and origin, other data. What the log has signed is left out: with it the mint would not sign."""
    for part in ("mint/keys", "trust"):
        shutil.copytree(honest.directory / part, tmp_path / "forked" / part, ignore=SIGNED)
    with up(tmp_path / "forked", "--register", FORKED) as running:
        yield running


def rows(database: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(database) as conn:
        return {table: conn.execute(f"select * from {table} order by 1, 2, 3").fetchall() for table in TABLES}


def read_database(running: Up) -> str:
    return str(tomllib.loads((running.directory / "mintmark.toml").read_text())["mirror"]["database"])


def grown(forked: Up, vkey: str) -> str:
    """The head of the forked log, once it is longer than the honest one."""
    for number in range(20):
        item = json.dumps({"country": f"Q{number}", "name": "Nowhere"})
        done = forked.run("append", "country", "--key", f"Q{number}", "--item", item)
        assert done.returncode == 0, done.stderr
    return mintmark("checkpoint", "country", "--raw", "--grpc", forked.ready["grpc"], "--vkey", vkey).stdout


def test_a_forked_mint_is_caught_by_mirror_and_audit(honest: Up, forked: Up, tmp_path: Path) -> None:
    register = honest.ready["registers"]["country"]
    assert forked.ready["registers"]["country"]["vkey"] == register["vkey"]
    assert honest.run("audit", "country", "--state", tmp_path / "seen").returncode == 0
    seen = (tmp_path / "seen").read_bytes()
    database = read_database(honest)
    before = rows(database)

    config = tmp_path / "mirror.toml"
    values = {"database": database, "sources": [forked.ready["grpc"]], "trust": str(honest.directory / "trust")}
    config.write_text("[mirror]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    mirrored = mintmark("mirror", "--once", "--json", "--config", config)
    assert mirrored.returncode == 3, mirrored.stderr
    assert rows(database) == before

    there = ("--grpc", forked.ready["grpc"], "--vkey", register["vkey"])
    lied = mintmark("checkpoint", "country", "--raw", *there).stdout
    evidence = json.loads(mintmark("evidence", "country", "--json", "--config", config).stdout)["evidence"]
    assert [piece["notes"] for piece in evidence] == [[seen.decode(), lied]]
    assert mintmark("status", "--config", config).returncode == 3

    behind = mintmark("audit", "country", "--state", tmp_path / "seen", *there)
    assert (behind.returncode, "ask again later" in behind.stderr) == (4, True)  # so far it could be a mirror that lags
    lied = grown(forked, register["vkey"])
    audited = mintmark("audit", "country", "--state", tmp_path / "seen", *there)
    assert audited.returncode == 3
    assert (tmp_path / "seen").read_bytes() == seen
    (kept,) = tmp_path.glob("seen.evidence-*.json")
    assert json.loads(kept.read_text())["notes"] == [seen.decode(), lied]
