"""Reads that many callers share: never older than the question, and what was mended is right again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import MintmarkError, NotYet
from mintmark.store import tile_cache
from mintmark.store.shared_reads import SharedReads
from tests.store.logs import Written, users

if TYPE_CHECKING:
    from mintmark.store.read_store import ReadStore


async def test_a_head_is_the_newest_when_it_is_asked_for(read_store: ReadStore) -> None:
    log, reads = Written(read_store, "opaque"), SharedReads(read_store)
    for start in range(0, 300, 30):
        await log.write(users(start, start + 30))
        heads = await asyncio.gather(*(reads.head(1) for _ in range(20)))
        assert {head.size for head in heads} == {start + 30}
        assert {head.size for head in (await reads.heads([1, 2, 3])).values()} == {start + 30}
        assert list(await reads.heads(range(1, 100))) == [1]
    with pytest.raises(NotYet):
        await reads.head(2)


async def test_a_tile_is_as_wide_as_the_size_asks_for(read_store: ReadStore) -> None:
    log, reads = Written(read_store, "opaque"), SharedReads(read_store)
    for start in range(0, 300, 30):
        await log.write(users(start, start + 30))
        tiles = await reads.tiles(1, [(0, start // 256)], start + 30)
        assert tiles == await read_store.tiles(1, [(0, start // 256)])
    with pytest.raises(MintmarkError, match="is lost"):
        await reads.tiles(1, [(0, 7)], 3000)


async def test_a_tile_that_was_mended_is_right_again(read_store: ReadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    log, reads = Written(read_store, "opaque"), SharedReads(read_store)
    await log.write(users(0, 300))
    sound = (await read_store.tiles(1, [(0, 0)]))[0, 0]
    await _put(read_store, bytes(len(sound)))
    assert (await reads.tiles(1, [(0, 0)], 300))[0, 0] != sound
    await _put(read_store, sound)
    monkeypatch.setattr(tile_cache, "FRESH", 0.0)
    assert (await reads.tiles(1, [(0, 0)], 300))[0, 0] == sound


async def _put(store: ReadStore, hashes: bytes) -> None:
    async with store.pool.connection() as conn:
        await conn.execute("update tile set hashes = %b where level = 0 and index = 0", (hashes,))
