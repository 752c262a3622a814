"""The published registers, where a clone has them beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

REGISTERS = Path(__file__).parents[2].parent / "shared" / "registers"


@pytest.fixture(scope="session")
def registers() -> Path:
    if not REGISTERS.is_dir():
        pytest.skip(f"no published registers in {REGISTERS}")
    return REGISTERS


@pytest.fixture(scope="session")
def golden(registers: Path) -> dict[str, Any]:
    return json.loads((registers / "golden-roots.json").read_bytes())
