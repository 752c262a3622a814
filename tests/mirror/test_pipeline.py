"""Several batches on their way at once: one history, whoever else writes it, and whatever breaks in between."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Conflict, Unavailable
from mintmark.mirror.catch_up import CatchUp
from mintmark.mirror.pipeline import BATCH_ENTRIES
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.oracle import check_log
from tests.support.wire import Wire
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.tlog.trust import Chunk

ENTRIES = 70_001  # five batches


@pytest.fixture(scope="module")
def world() -> World:
    """A log of several batches, which begins within a bundle for whoever has its first head."""
    world = World("world.example/long")
    world.append([b"first", b"second"])
    world.append([os.urandom(8) for _ in range(ENTRIES - 2)])
    return world


class Halting(World):
    """Another view of a world: it calls `meanwhile` before the chunk that begins at an index."""

    def __init__(self, world: World, at: int, meanwhile: object) -> None:
        self.__dict__.update(world.__dict__)
        self.at, self.meanwhile = at, meanwhile

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        async for chunk in super().entries(origin, start, end, size):
            if chunk.start == self.at:
                await self.meanwhile()
            yield chunk


async def last_rows(store: ReadStore) -> set[int]:
    """The size that each table speaks of."""
    async with store.pool.connection() as conn:
        entries = await (await conn.execute("select coalesce(max(index) + 1, 0) from entry")).fetchone()
        bundles = await (
            await conn.execute("select coalesce(max(index * 256 + width), 0) from bundle where width > 0")
        ).fetchone()
    return {entries[0], bundles[0]}


@pytest.mark.parametrize("steps", [1, 2])
async def test_many_batches_end_as_one_history(read_store: ReadStore, read_db: str, world: World, steps: int) -> None:
    follower = CatchUp(read_store, world.origin, world.verifiers)
    for note in world.notes[-steps:]:
        assert await follower.step(world, note, "opaque")
    assert await check_log(read_db, world.origin, world.verifiers) == ENTRIES


async def test_two_who_write_the_same_log_at_once_do_no_harm(read_db: str, world: World) -> None:
    """Each steps again after a Conflict, as a worker does."""

    async def follow(number: int) -> int:
        chance, conflicts = random.Random(number), 0
        async with open_pool(read_db, 4) as pool:
            follower = CatchUp(ReadStore(pool), world.origin, world.verifiers)
            while True:
                try:
                    assert await follower.step(world, world.notes[-1], "opaque")
                    return conflicts
                except Conflict:
                    conflicts += 1
                    await asyncio.sleep(chance.uniform(0, 0.1))

    async with asyncio.timeout(60):
        assert sum(await asyncio.gather(*map(follow, range(3)))) > 0
    assert await check_log(read_db, world.origin, world.verifiers) == ENTRIES


@pytest.mark.parametrize("at", [16_384, 32_768, 49_152])
async def test_a_log_that_is_stopped_midway_holds_whole_batches_and_no_more(
    read_store: ReadStore, read_db: str, world: World, at: int
) -> None:
    async def stop() -> None:
        log = (await read_store.progress(world.origin)).id
        await read_store.evidence.contradict(log, Conflict("why"), "source:1", stop=True)

    with pytest.raises(Conflict):
        await CatchUp(read_store, world.origin, world.verifiers).step(
            Halting(world, at, stop), world.notes[-1], "opaque"
        )
    size = (await read_store.progress(world.origin)).size
    assert size < ENTRIES
    assert size % BATCH_ENTRIES == 0
    assert await last_rows(read_store) == {size}


@pytest.mark.parametrize("seed", range(6))
async def test_a_connection_that_breaks_midway_leaves_whole_batches(read_db: str, world: World, seed: int) -> None:
    chance = random.Random(seed)
    async with Wire(read_db).open() as wire, open_pool(wire.conninfo, 4) as pool, open_pool(read_db, 1) as plain:
        store, follower = ReadStore(plain), CatchUp(ReadStore(pool), world.origin, world.verifiers)

        async def cut() -> None:
            wire.arm(chance.randrange(30), deliver=bool(seed % 2))

        with suppress(Unavailable):  # none where the cut met a notice, which nobody waits for
            await follower.step(Halting(world, 4_096 * chance.randrange(1, 8), cut), world.notes[-1], "opaque")
        assert wire.cut
        size = (await store.progress(world.origin)).size
        assert await last_rows(store) == {size}
        assert await CatchUp(store, world.origin, world.verifiers).step(world, world.notes[-1], "opaque")
    assert await check_log(read_db, world.origin, world.verifiers) == ENTRIES


class Breaking(World):
    """Another view of a world: it breaks off after so many entries."""

    def __init__(self, world: World, most: int) -> None:
        self.__dict__.update(world.__dict__)
        self.most = most

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        async for chunk in super().entries(origin, start, end, size):
            if chunk.start - start >= self.most:
                raise Unavailable("broken off")
            yield chunk


@pytest.mark.parametrize("most", [16_384, 20_480, 32_768])
async def test_what_a_source_sent_before_it_broke_off_is_kept(read_store: ReadStore, world: World, most: int) -> None:
    follower = CatchUp(read_store, world.origin, world.verifiers)
    with pytest.raises(Unavailable):
        await follower.step(Breaking(world, most), world.notes[-1], "opaque")
    assert (await read_store.progress(world.origin)).size == most


async def test_a_step_that_is_cancelled_leaves_no_transaction_open(
    read_store: ReadStore, read_db: str, world: World
) -> None:
    step: asyncio.Task[bool]

    async def cancel() -> None:
        step.cancel()

    follower = CatchUp(read_store, world.origin, world.verifiers)
    step = asyncio.create_task(follower.step(Halting(world, 40_960, cancel), world.notes[-1], "opaque"))
    with pytest.raises(asyncio.CancelledError):
        await step
    assert await last_rows(read_store) == {(await read_store.progress(world.origin)).size}
    assert await follower.step(world, world.notes[-1], "opaque")
    assert await check_log(read_db, world.origin, world.verifiers) == ENTRIES
