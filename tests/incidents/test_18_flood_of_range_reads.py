"""Incident 18: a flood of range reads ran out of memory.

Byte caps and streaming: two hundred readers that are slow, and the server's memory stays bounded.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from mintmark.client.mint_client import MintClient
from mintmark.errors import Malformed
from mintmark.rpc import transport
from mintmark.tlog.chunk import CHUNK_BYTES, MAX_CHUNK_BUNDLES
from tests.incidents.test_07_acknowledged_and_never_integrated import until_made
from tests.support.minting import ORIGIN, TOKEN, Keys, MintProcess, append

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from mintmark.tlog.trust import Chunk

READERS, CHANNELS = 200, 20
SIZE = 64_000  # entries of 1,000 bytes: 64 MB, which all readers together ask for 200 times
BOUND = 400 * 2**20  # bytes, for 12.8 GB asked for


async def test_slow_readers_cost_bounded_memory(mint_db: str, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    mint = MintProcess(keys, mint_db)
    await mint.start()
    try:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(MintClient(mint.address, token=TOKEN)) for _ in range(CHANNELS)]
            await until_made(clients[0])
            for _ in range(SIZE // 2000):
                await append(clients[0], [os.urandom(1000)] * 2000)
            before = mint.memory()
            streams = [clients[at % CHANNELS].entries(ORIGIN, 0, SIZE, SIZE) for at in range(READERS)]
            peak = await read_slowly(mint, streams)
            assert peak - before < BOUND, f"{(peak - before) >> 20} MB for {READERS} readers"
            # Who reads as fast as it can gets all of it meanwhile.
            ends = [chunk.end async for chunk in clients[0].entries(ORIGIN, 0, SIZE, SIZE)]
            assert ends[-1] == SIZE
            for stream in streams:
                await stream.aclose()
    finally:
        await mint.kill()


async def read_slowly(mint: MintProcess, streams: list[AsyncGenerator[Chunk, None]]) -> int:
    """A chunk of each, now and then; the most memory that the mint ever had."""
    peak = 0
    for _ in range(3):
        await asyncio.gather(*(anext(stream) for stream in streams))
        peak = max(peak, mint.memory())
        await asyncio.sleep(0.3)
        peak = max(peak, mint.memory())
    return peak


async def test_what_one_call_may_ask_for_is_capped(mint_db: str, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        await append(client, [b"x"] * 300)
        with pytest.raises(Malformed, match="at most"):
            await client.tiles(ORIGIN, [(0, 0, 256)] * (transport.MAX_TILES_PER_REQUEST + 1))
        big = [os.urandom(60_000)] * 256
        await append(client, big)
        async for chunk in client.entries(ORIGIN, 0, 556, 556):
            assert len(chunk.entries) <= MAX_CHUNK_BUNDLES
            assert len(chunk.entries) == 1 or sum(map(len, chunk.entries)) <= CHUNK_BYTES
