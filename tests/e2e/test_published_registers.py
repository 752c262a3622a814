"""All the published registers at once: minted, mirrored, served and exported, each with its published root."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rsf import read_rsf
from tests.support.up import Up, up

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTERS = Path(__file__).parents[2].parent / "shared" / "registers"
FILES = sorted(REGISTERS.glob("*.rsf"))

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not FILES, reason=f"the published registers are not at {REGISTERS}"),
    pytest.mark.xdist_group("published"),
]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("published") / "up", "--register", *FILES) as running:
        yield running


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads((REGISTERS / "golden-roots.json").read_bytes())


def test_all_are_up(deployment: Up, golden: dict[str, Any]) -> None:
    sizes = {name: register["size"] for name, register in deployment.ready["registers"].items()}
    assert sizes == {
        name.removesuffix(".rsf"): counts["user_entries"] + counts["system_entries"]
        for name, counts in golden.items()
        if "/" not in name
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_export_has_the_published_root(deployment: Up, golden: dict[str, Any], file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.rsf"
    done = deployment.run("export", file.stem, "--format", "rsf", "-o", out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().splitlines()[-1] == b"assert-root-hash\t" + golden[file.name]["root_hash_v1"].encode()
    assert {row.entry for row in read_rsf(out.read_bytes())} == {row.entry for row in read_rsf(file.read_bytes())}


def test_an_audit_of_everything_with_a_second_opinion(deployment: Up) -> None:
    for name in ("country", "government-service"):
        done = deployment.run("audit", name, "--full", "--second-opinion")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_read_api_has_the_same_root(deployment: Up, golden: dict[str, Any], file: Path) -> None:
    url = f"{deployment.ready['http']}/{file.stem}/proof/register/merkle:sha-256"
    with urllib.request.urlopen(url) as response:
        assert json.load(response)["root-hash"] == golden[file.name]["root_hash_v1"]
