"""A short bit flip campaign: each of the flips in either database is found, and mended byte for byte."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.support.bitflips import OPAQUE, REGISTER, Copies, flips
from tests.support.flipped_bits import COLUMNS
from tests.support.minting import Keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLIP_COUNT = 20


@pytest.mark.parametrize("kind", COLUMNS)
async def test_any_flipped_bit_is_found_and_mended(
    new_database: Callable[[str], str], tmp_path: Path, kind: str
) -> None:
    databases = {kind: new_database(kind) for kind in COLUMNS}
    copies = Copies(databases, Keys(tmp_path / "keys", OPAQUE, REGISTER), 2_000)
    await copies.fill()
    await copies.unconstrain()
    async with flips(copies, kind, random.Random(kind)) as run:
        for _ in range(FLIP_COUNT):
            await run.flip_and_mend()
    assert (run.found, run.mended, run.missed) == (FLIP_COUNT, FLIP_COUNT, [])
