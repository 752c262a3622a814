"""Incident 30: two writers.

N mirrors × M registers under random kills: one linear history in the read database, no row twice, nothing lost.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.places import add_records, follower, mirror_config, register, until_shown
from tests.support.world import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MIRRORS, REGISTERS, KILLS = 3, 6, 7


async def test_mirrors_of_many_registers_under_random_kills(
    read_db: str, tmp_path: Path, check_log: Callable[..., object]
) -> None:
    chance = random.Random(30)
    worlds = [register(f"world.example/thing-{number}") for number in range(REGISTERS)]
    async with AsyncExitStack() as stack, open_pool(read_db, 2) as pool:
        addresses = [await stack.enter_async_context(serve(world)) for world in worlds]
        config = mirror_config(tmp_path, read_db, addresses, *worlds)
        crew = [await start(config) for _ in range(MIRRORS)]
        try:
            for _ in range(KILLS):
                for world in chance.sample(worlds, 4):
                    add_records(world, chance.choice([1, 255, 700, 2000]))
                await asyncio.sleep(chance.uniform(0.1, 0.9))
                victim = chance.randrange(MIRRORS)
                crew[victim].kill()
                await crew[victim].wait()
                crew[victim] = await start(config)
            await until_shown(ReadStore(pool), *worlds)
        finally:
            await stop(crew)
    for world in worlds:
        assert await check_log(read_db, world.origin, world.verifiers) == world.size


async def test_two_that_both_believe_to_hold_a_register_write_one_history(
    read_store: ReadStore, read_db: str, check_log: Callable[..., object]
) -> None:
    world = register(count=5000)
    outcomes: list[object] = []
    async with open_pool(read_db, 4) as pool:
        stores = [read_store, ReadStore(pool)]
        for _ in range(6):
            steps = (follower(store, world).step(world, world.notes[-1], "register") for store in stores)
            outcomes += await asyncio.gather(*steps, return_exceptions=True)
            add_records(world, 800)
    assert {type(outcome).__name__ for outcome in outcomes} <= {"bool", "Conflict"}
    assert await check_log(read_db, world.origin, world.verifiers) == world.size - 800


async def start(config: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "mintmark", "mirror", "--config", str(config)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ,
    )


async def stop(crew: Sequence[asyncio.subprocess.Process]) -> None:
    for process in crew:
        process.terminate()
    assert [await process.wait() for process in crew]
