"""Incident 12: two faults, and an error in recovery that was swallowed (Raio, 2025).

A second fault during recovery: still nothing is lost or there twice, and the error is told.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import MintmarkError
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.minting import ORIGIN, Keys, request
from tests.support.places import add_records, mirror, register
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Rearmed(Wire):
    """A wire that is cut a second time, so many requests into the recovery from the first."""

    def __init__(self, conninfo: str, second: int) -> None:
        super().__init__(conninfo)
        self.second, self.cuts = second, 0

    def _now(self) -> bool:
        if not super()._now():
            return False
        self.cuts += 1
        if self.cuts == 1:
            self.arm(self.second, deliver=True)
        return True


@pytest.mark.parametrize("second", range(4))
async def test_a_mint_recovers_from_a_fault_in_its_recovery(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], second: int
) -> None:
    keys, size, twice = Keys(tmp_path), 0, 0
    async with keys.logs(mint_db) as logs:
        await logs.create(ORIGIN, "opaque", False)
    for first in range(5):
        async with Rearmed(mint_db, second).open() as wire, keys.logs(wire.conninfo) as logs:
            log = await logs.store.log(ORIGIN)
            wire.arm(first, deliver=True)
            asked = request([os.urandom(20) for _ in range(100)])
            assert (await logs.append(log, asked)).first == size
            size += 100
            assert (await logs.append(log, request([b"next"]))).first == size
            size += 1
            twice += wire.cuts == 2
            told = [event for event, _, _ in logs.events]  # type: ignore[attr-defined]
            assert told.count("unavailable") >= wire.cuts - 1
    assert twice >= 2
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == size


@pytest.mark.parametrize("second", [0, 1, 3])
async def test_a_mirror_recovers_from_a_fault_in_its_recovery(
    read_store: ReadStore, read_db: str, check_log: Callable[..., Any], second: int
) -> None:
    world, failed, twice = register(count=400), 0, 0
    await mirror(read_store, world)
    for first in (1, 2, 3, 5):
        add_records(world, 700)
        async with Rearmed(read_db, second).open() as wire, open_pool(wire.conninfo, 2) as pool:
            await pool.fetch("select 1")  # connected: the first fault meets a statement
            wire.arm(first, deliver=True)
            for _ in range(4):
                try:
                    await mirror(ReadStore(pool), world)
                except MintmarkError:
                    failed += 1
            twice += wire.cuts == 2
        assert await check_log(read_db, world.origin, world.verifiers) == world.size
    assert twice >= 2
    assert failed >= 2
