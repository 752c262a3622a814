"""Incident 27: an index drifted from the log (rekor#1605).

The projection and the verified entries are written in one transaction: at no moment does a reader see the one without
the other, whatever ends the writer. The projection is made of the entries alone, so it can be made again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from mintmark.errors import MintmarkError
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.places import add_records, follower, mirror, register
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable


# In one snapshot: how far the mirror got, where bundles, leaf tiles and rows end, and that no index is left out.
ENDS = """
    select p.size, (select coalesce(max(index * 256 + width), 0) from bundle),
           (select coalesce(max(index * 256 + width), 0) from tile where level = 0),
           (select count(*) from entry), (select coalesce(max(index) + 1, 0) from entry)
    from progress p"""


async def test_a_reader_never_sees_rows_and_entries_apart(
    read_store: ReadStore, read_db: str, check_log: Callable[..., Any]
) -> None:
    world, seen = register(count=300), set()
    await mirror(read_store, world)
    done = asyncio.Event()

    async def look() -> None:
        async with await psycopg.AsyncConnection.connect(read_db, autocommit=True) as conn:
            while not done.is_set():
                ends = await (await conn.execute(ENDS)).fetchone()
                assert ends is not None
                assert len(set(ends)) == 1, ends
                seen.add(ends[0])

    async with asyncio.TaskGroup() as tasks:
        looking = [tasks.create_task(look()) for _ in range(2)]
        for count in (1, 255, 9000, 700, 18_000):
            add_records(world, count)
            await mirror(read_store, world)
        done.set()
        await asyncio.gather(*looking)
    assert len(seen) > 3
    assert await check_log(read_db, world.origin, world.verifiers) == world.size


@pytest.mark.parametrize("delivered", [False, True], ids=["not sent", "done and not heard of"])
async def test_a_writer_that_ends_anywhere_leaves_them_together(
    read_db: str, check_log: Callable[..., Any], delivered: bool
) -> None:
    world, cuts = register(count=300), 0
    for step in range(14):
        async with Wire(read_db).open() as wire, open_pool(wire.conninfo, 1) as pool:
            wire.arm(step, deliver=delivered)
            try:
                await follower(ReadStore(pool), world).step(world, world.notes[-1], "register")
            except MintmarkError:
                cuts += 1
        if await followed(read_db):
            await check_log(read_db, world.origin, world.verifiers)
        add_records(world, 300)
    assert cuts >= 4
    async with open_pool(read_db, 1) as pool:
        await mirror(ReadStore(pool), world)
    assert await check_log(read_db, world.origin, world.verifiers) == world.size


async def followed(database: str) -> bool:
    """Whether the log has been begun at all."""
    async with await psycopg.AsyncConnection.connect(database) as conn:
        return await (await conn.execute("select from log")).fetchone() is not None
