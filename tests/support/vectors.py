"""The public test vectors beside the checkout; tests that read them are skipped where it has none."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2] / "../shared/vectors"

needed = pytest.mark.skipif(not ROOT.is_dir(), reason=f"the public test vectors are not at {ROOT}")


def load(name: str) -> Any:
    return json.loads((ROOT / name).read_text())


def root_of(checkpoint: str) -> bytes:
    return base64.b64decode(checkpoint.split("\n")[2])
