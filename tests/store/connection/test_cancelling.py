"""A cancelled task ends, at whatever moment it is cancelled."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from mintmark.store.connection.pool import open_pool

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool

ATTEMPTS = 400
TIMEOUT_SECONDS = 30.0  # far more than it takes


async def ask(pool: Pool) -> None:
    """Asks for ever, as a poll does."""
    while True:
        async with pool.connection() as conn:
            await conn.execute("select 1")


async def test_no_cancellation_is_lost_between_two_answers(read_db: str) -> None:
    chance = random.Random(1)
    async with open_pool(read_db, 2) as pool:
        for _ in range(ATTEMPTS):
            tasks = [asyncio.create_task(ask(pool)) for _ in range(4)]
            await asyncio.sleep(chance.uniform(0, 0.004))
            for task in tasks:
                task.cancel()
            _, pending = await asyncio.wait(tasks, timeout=TIMEOUT_SECONDS)
            for task in pending:
                task.cancel()
            assert not pending


async def test_what_is_done_while_a_task_ends_is_done(read_db: str) -> None:
    done = []

    async def cleanup(pool: Pool) -> None:
        try:
            await asyncio.sleep(TIMEOUT_SECONDS)
        finally:
            async with pool.connection() as conn:
                done.append(await (await conn.execute("select 1")).fetchone())

    async with open_pool(read_db, 1) as pool:
        task = asyncio.create_task(cleanup(pool))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=TIMEOUT_SECONDS)
    assert (done, task.cancelled()) == ([(1,)], True)
