"""Incident 25: INSERT errors were logged, and the rest committed all the same (a MariaDB clone).

One bad row rolls the whole batch back, in whichever table it is; the mirror resumes from the verified size. It harms no
other register.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.errors import MintmarkError
from mintmark.mirror.pipeline import BATCH_ENTRIES
from tests.support.places import follower, mirror, rows, worker
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.store.mirror.read_store import ReadStore

FIRST, MORE = 300, 40_000
BAD = 25_000  # in the second batch of what comes next
TRIGGER = """
    create function refuse() returns trigger language plpgsql as $$
        begin raise exception 'this row is refused' using errcode = '{code}'; end $$;
    create trigger refuse before insert or update on {table} for each row when ({condition}) execute function refuse();
"""
CONDITIONS = {
    "tile": f"new.level = 0 and new.index = {BAD // 256}",
    "bundle": f"new.index = {BAD // 256}",
    "entry": f"new.index = {BAD}",
    "progress": f"new.size > {BAD}",
    "head": f"new.size > {BAD}",
    "checkpoint": f"new.size > {BAD}",
}
# A constraint, a value, an exception of the database's own, a full disk: what a server may say to an INSERT.
CODES = ["23514", "22P05", "P0001", "53100"]


def log(origin: str = "world.example/things") -> World:
    world = World(origin)
    world.append([os.urandom(20) for _ in range(FIRST)])
    return world


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("table", CONDITIONS)
async def test_one_bad_row_rolls_its_batch_back(
    read_store: ReadStore, check_log: Callable[..., object], table: str, code: str
) -> None:
    world = log()
    await mirror(read_store, world)
    shown = await rows(read_store, "head", "checkpoint")
    world.append([os.urandom(20) for _ in range(MORE)])
    await _execute(read_store, TRIGGER.format(table=table, condition=CONDITIONS[table], code=code))
    with pytest.raises((MintmarkError, psycopg.Error), match="this row is refused"):
        await follower(read_store, world).step(world, world.notes[-1], "opaque")
    assert await rows(read_store, "head", "checkpoint") == shown
    verified = (await read_store.progress(world.origin)).size
    assert FIRST + BATCH_ENTRIES - 256 <= verified < world.size
    assert await _last_index(read_store) == verified - 1
    await _execute(read_store, f"drop trigger refuse on {table}")
    await mirror(read_store, world)
    assert await check_log(read_store.pool.conninfo, world.origin, world.verifiers) == FIRST + MORE


async def test_a_register_whose_rows_are_refused_does_not_stop_the_others(read_store: ReadStore) -> None:
    bad, good = log("world.example/bad"), log("world.example/good")
    bad.address, good.address = "bad:1", "good:1"
    await mirror(read_store, bad)
    bad.append([b"more"])
    await _execute(read_store, TRIGGER.format(table="entry", condition="new.log = 1", code="P0001"))
    told: list[str] = []
    one = worker(read_store, [bad, good], bad, good, on_event=lambda _, origin, __: told.append(origin))
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(20):
        while await _shown(read_store, good) < FIRST or bad.origin not in told:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await _shown(read_store, bad) == FIRST
    (status,) = [status for status in await read_store.status.of_logs() if status.origin == bad.origin]
    assert status.error is not None


async def _shown(store: ReadStore, world: World) -> int:
    found = [status.head for status in await store.status.of_logs() if status.origin == world.origin]
    return found[0] if found else 0


async def _last_index(store: ReadStore) -> int:
    async with store.pool.connection() as conn:
        row = await (await conn.execute("select max(index) from entry")).fetchone()
    assert row is not None
    return int(row[0])


async def _execute(store: ReadStore, statements: str) -> None:
    async with store.pool.connection() as conn:
        await conn.execute(statements.encode())
