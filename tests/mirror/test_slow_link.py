"""A slow link: a log comes through it, piece by piece, and what was proven is kept."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Unavailable
from mintmark.mirror.pipeline import BATCH_ENTRIES
from mintmark.sources.grpc import GrpcSource
from mintmark.sources.guarded import GuardedSource
from mintmark.sources.tiles import TilesSource
from tests.mirror.test_worker import Hung, same_log, working
from tests.sources.test_tiles import write
from tests.support import places
from tests.support.oracle import check_log
from tests.support.places import LiveWorld, add_records, follower, register, run_once, until_shown
from tests.support.slow_link import slow_link
from tests.support.static import serving
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.trust import Chunk

RATE = 150_000  # bytes a second
ANSWER_SECONDS = 0.5  # so that a chunk, of a second or more at that rate, is late
worker = partial(places.worker, answer_seconds=ANSWER_SECONDS)


def log(entry_bytes: int, count: int) -> World:
    world = World("world.example/thing")
    world.append([number.to_bytes(4, "big") * (entry_bytes // 4) for number in range(count)])
    return world


@pytest.mark.parametrize(("entry_bytes", "count"), [(200, 2600), (2_000, 300)], ids=["bundles", "large entries"])
async def test_a_log_comes_through_a_slow_link_over_grpc(read_store: ReadStore, entry_bytes: int, count: int) -> None:
    """Bundles of 50 KB, 13 of them; and of 500 KB, of which none comes within the usual time."""
    world = log(entry_bytes, count)
    async with (
        serve(world) as address,
        slow_link(address, RATE) as (slow, link),
        GrpcSource(slow) as source,
        working(worker(read_store, [source], world)),
    ):
        await until_shown(read_store, world, seconds=120)
    assert await check_log(read_store.pool.conninfo, world.origin, world.verifiers) == count
    assert link.sent > entry_bytes * count


async def test_a_log_comes_through_a_slow_link_over_http(read_store: ReadStore, tmp_path: Path) -> None:
    world = log(1_000, 1_000)
    write(tmp_path, world)
    with serving(tmp_path) as server:
        async with slow_link(server.url.removeprefix("http://").rstrip("/"), RATE) as (slow, link):
            source = TilesSource(f"http://{slow}/thing/log/", 0.1)
            try:
                async with working(worker(read_store, [source], world)):
                    await until_shown(read_store, world, seconds=120)
            finally:
                await source.close()
    assert await check_log(read_store.pool.conninfo, world.origin, world.verifiers) == 1_000
    assert link.sent < 2.5 * 1_000 * 1_000


class Breaking(LiveWorld):
    """A source that breaks off after a chunk each time."""

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        async for chunk in super().entries(origin, start, end, size):
            yield chunk
            raise Unavailable("broken off")


async def test_what_was_proven_before_a_source_broke_off_is_kept(read_store: ReadStore) -> None:
    honest = register(count=1_900)
    breaking = same_log(Breaking, honest, "breaking:1")
    sizes = []
    for _ in range(2):
        with pytest.raises(Unavailable, match="broken off"):
            await follower(read_store, honest).step(breaking, honest.notes[-1], "register")
        sizes.append((await read_store.progress(honest.origin)).size)
    assert sizes == [512, 1024]
    assert sizes[-1] < BATCH_ENTRIES
    assert (await run_once(read_store, [breaking, honest], honest)).done
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 1_900


async def test_a_source_that_is_stuck_is_given_up_as_before_and_asked_last(read_store: ReadStore) -> None:
    honest = register(count=300)
    stuck = same_log(Hung, honest, "stuck:1")
    async with working(worker(read_store, [stuck, honest], honest)) as mirror:
        await until_shown(read_store, honest)
        add_records(honest, 300)
        await until_shown(read_store, honest)
        assert mirror.sources["stuck:1"].slow
        assert not mirror.sources[honest.address].slow
    (status,) = await read_store.status.of_logs()
    assert (status.source, status.stopped) == (honest.address, None)


class Dripping(LiveWorld):
    """A source that gives bundles, each late by a little; it counts the ranges that it is asked for."""

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)
        self.ranges: list[tuple[int, int]] = []

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        self.ranges.append((start, end))
        async for chunk in super().entries(origin, start, end, size):
            if chunk.end - chunk.start > 256:
                await asyncio.sleep(3600)
            yield chunk


async def test_a_range_is_asked_for_anew_where_the_one_before_ended() -> None:
    world = register(count=900)
    dripping = same_log(Dripping, world, "dripping:1")
    guarded = GuardedSource(dripping, 0.2)
    with pytest.raises(Unavailable, match="does not answer"):
        async for _ in guarded.entries(world.origin, 0, 900, 900):
            pass
    got = [chunk async for chunk in guarded.entries(world.origin, 0, 900, 900)]
    assert (got[0].start, got[0].end) == (0, 256)
    assert got[-1].end == 900
    assert dripping.ranges[:2] == [(0, 900), (0, 256)]
