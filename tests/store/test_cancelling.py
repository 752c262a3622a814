"""A task that is cancelled ends, at whatever moment it is told."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from mintmark.store.connection.pool import open_pool

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool

TIMES, ENDS = 400, 30.0  # seconds: far more than it takes


async def ask(pool: Pool) -> None:
    """Asks for ever, as a poll does."""
    while True:
        async with pool.connection() as conn:
            await conn.execute("select 1")


async def test_no_cancellation_is_lost_between_two_answers(read_db: str) -> None:
    chance = random.Random(1)
    async with open_pool(read_db, 2) as pool:
        for _ in range(TIMES):
            tasks = [asyncio.create_task(ask(pool)) for _ in range(4)]
            await asyncio.sleep(chance.uniform(0, 0.004))
            for task in tasks:
                task.cancel()
            _, pending = await asyncio.wait(tasks, timeout=ENDS)
            for task in pending:
                task.cancel()
            assert not pending


async def test_what_is_done_while_a_task_ends_is_done(read_db: str) -> None:
    done = []

    async def cleanup(pool: Pool) -> None:
        try:
            await asyncio.sleep(ENDS)
        finally:
            async with pool.connection() as conn:
                done.append(await (await conn.execute("select 1")).fetchone())

    async with open_pool(read_db, 1) as pool:
        task = asyncio.create_task(cleanup(pool))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=ENDS)
    assert (done, task.cancelled()) == ([(1,)], True)
