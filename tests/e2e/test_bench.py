"""`scripts/bench` runs, and compares measurements of the same rounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.e2e


def test_the_spine_is_measured_beside_raw_copy(tmp_path):
    options = ("--entries", "2000", "--rounds", "1", "--results", tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "benches", *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "spine.json").read_text())
    speeds = {sample["what"]: sample for sample in found["samples"]}
    assert speeds.keys() == {"append", "mirror", "audit --full", "raw COPY"}
    assert all(sample["unit"] == "entries/s" and sample["values"][0] > 0 for sample in speeds.values())
    assert [aim["what"] for aim in found["aims"]] == [f"{name} / raw COPY" for name in speeds if name != "raw COPY"]
    assert {used["process"] for used in found["usage"]} == {"mint", "source Postgres", "read Postgres"}
    assert "entries/s" in ran.stdout
