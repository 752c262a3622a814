"""Reads that many callers share: never older than the call, and right again after a repair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import MintmarkError, NotAvailableYet
from mintmark.store.log.cached_reader import CachedLogReader, TileCache
from tests.support.logs import Written, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.store.mirror.read_store import ReadStore


async def test_a_head_is_the_newest_when_it_is_asked_for(read_store: ReadStore) -> None:
    log, reads = Written(read_store, "opaque"), CachedLogReader(read_store)
    for start in range(0, 300, 30):
        await log.write(users(start, start + 30))
        heads = await asyncio.gather(*(reads.head(1) for _ in range(20)))
        assert {head.size for head in heads} == {start + 30}
        assert {head.size for head in (await reads.heads([1, 2, 3])).values()} == {start + 30}
        assert list(await reads.heads(range(1, 100))) == [1]
    with pytest.raises(NotAvailableYet):
        await reads.head(2)


async def test_a_head_that_covers_what_is_asked_for_may_be_an_older_one(read_store: ReadStore) -> None:
    log, reads = Written(read_store, "opaque"), CachedLogReader(read_store)
    await log.write(users(0, 10))
    assert (await reads.head(1)).size == 10
    await log.write(users(10, 20))
    assert [(await reads.head(1, size)).size for size in (5, 10, 11, 5, 0)] == [10, 10, 20, 20, 20]


async def test_upper_tiles_outlive_those_at_the_foot(read_store: ReadStore) -> None:
    log, fetched = Written(read_store, "opaque"), []
    await log.write(users(0, 1024))

    async def fetch(addresses: Sequence[tuple[int, int, int]]) -> dict[int, bytes]:
        fetched.extend(addresses)
        return await read_store.tiles_at(addresses)

    cache = TileCache(fetch, max_tiles=4)
    for turn in range(12):
        keys = [(0, turn % 4), (1, 0)]
        assert await cache.get(1, keys, 1024) == await read_store.tiles(1, keys)
    assert fetched.count((1, 1, 0)) == 1
    assert len(fetched) > 5


async def test_a_tile_is_as_wide_as_the_size_asks_for(read_store: ReadStore) -> None:
    log, reads = Written(read_store, "opaque"), CachedLogReader(read_store)
    for start in range(0, 300, 30):
        await log.write(users(start, start + 30))
        tiles = await reads.tiles(1, [(0, start // 256)], start + 30)
        assert tiles == await read_store.tiles(1, [(0, start // 256)])
    with pytest.raises(MintmarkError, match="is lost"):
        await reads.tiles(1, [(0, 7)], 3000)


async def test_a_tile_that_was_mended_is_right_again(read_store: ReadStore) -> None:
    log, reads = Written(read_store, "opaque"), CachedLogReader(read_store, max_tile_age=0.5)
    await log.write(users(0, 300))
    sound = (await read_store.tiles(1, [(0, 0)]))[0, 0]
    await _put(read_store, bytes(len(sound)))
    assert (await reads.tiles(1, [(0, 0)], 300))[0, 0] != sound
    await _put(read_store, sound)
    assert (await reads.tiles(1, [(0, 0)], 300))[0, 0] != sound
    await asyncio.sleep(0.6)
    assert (await reads.tiles(1, [(0, 0)], 300))[0, 0] == sound


async def _put(store: ReadStore, hashes: bytes) -> None:
    async with store.pool.connection() as conn:
        await conn.execute("update tile set hashes = %b where level = 0 and index = 0", (hashes,))
