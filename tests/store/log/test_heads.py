"""Notices of heads: every move of every process is heard, at once with LISTEN, soon without."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mintmark.store.log.heads import POLL_INTERVAL_SECONDS, HeadListener
from tests.support.logs import Written, users
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.store.log.heads import Subscription
    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.postgres import TestPostgres


@asynccontextmanager
async def heard(
    store: ReadStore, conninfo: str, poll_interval: float = POLL_INTERVAL_SECONDS
) -> AsyncIterator[tuple[HeadListener, Subscription]]:
    heads = HeadListener(store.pool, conninfo, poll_interval)
    running = asyncio.create_task(heads.run())
    try:
        async with asyncio.timeout(20), heads.subscribe() as subscription:
            yield heads, subscription
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def listening(heads: HeadListener) -> None:
    while not heads._listening:  # noqa: ASYNC110  # what it listens for is what is tested
        await asyncio.sleep(0.01)


async def test_a_move_is_heard_without_a_poll(read_store: ReadStore, read_db: str) -> None:
    log = Written(read_store, "opaque")
    async with heard(read_store, read_db, poll_interval=600.0) as (heads, subscription):
        await listening(heads)
        for start in range(0, 50, 10):
            await log.write(users(start, start + 10))
            assert await subscription.moved() == {1}


async def test_a_batch_that_moves_no_head_is_not_told(read_store: ReadStore, read_db: str) -> None:
    log = Written(read_store, "opaque")
    batch = await log.grow(users(0, 10))
    async with heard(read_store, read_db) as (heads, subscription):
        await listening(heads)
        await read_store.evidence.contradict(batch.log, ValueError("x"), "s", stop=False)
        await asyncio.sleep(0.2)
        assert not subscription._event.is_set()
        await read_store.commit_batch(batch)
        assert await subscription.moved() == {1}


async def test_after_the_connection_is_lost_it_listens_again_and_misses_nothing(
    read_store: ReadStore, read_db: str, postgres: TestPostgres
) -> None:
    log = Written(read_store, "opaque")
    async with Wire(read_db).open() as wire, heard(read_store, wire.conninfo) as (heads, subscription):
        await listening(heads)
        await log.write(users(0, 10))
        assert await subscription.moved() == {1}
        postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'")
        await asyncio.sleep(0.1)
        await log.write(users(10, 20))
        assert await subscription.moved() == {1}
        await listening(heads)


async def test_every_subscription_hears_and_a_poke_is_heard(read_store: ReadStore, read_db: str) -> None:
    heads = HeadListener(read_store.pool, read_db)
    async with heads.subscribe() as one, heads.subscribe() as two:
        heads.poke(3, 4)
        heads.poke(4, 5)
        assert await one.moved() == await two.moved() == {3, 4, 5}
