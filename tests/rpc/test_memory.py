"""Strangers cannot fill a server's memory, nor keep others from being served: whole processes, real sockets."""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from mintmark.cli.run.servers import MAX_OPEN_FILES
from mintmark.client.mint_client import MintClient
from mintmark.errors import Busy
from mintmark.rpc.server import RECEIVE_SECONDS
from mintmark.rpc.transport import MAX_APPEND_BYTES
from tests.incidents.test_07_acknowledged_and_never_integrated import until_made
from tests.support.http2 import unfinished
from tests.support.minting import ORIGIN, TOKEN, Keys, MintProcess, append

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from mintmark.tlog.trust import Chunk

CALLS, UNFINISHED_BOUND = 100, 400 * 2**20  # of 1.6 GB that the calls announce
METHODS = [
    "/mintmark.v1.Log/ListLogs",
    "/mintmark.v1.Log/GetEntries",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/no.such/Method",
]
ATTEMPTS = 5
LOOKS = 20  # at the memory, in two seconds
BUNDLES, BUNDLE_ENTRIES, ENTRY_BYTES = 6, 256, 60_000
READERS, CHANNELS, UNREAD_BOUND = 90, 30, 800 * 2**20  # of 1.4 GB, were each given one bundle, once


@pytest_asyncio.fixture
async def mint(mint_db: str, tmp_path: Path) -> AsyncIterator[MintProcess]:
    """A mint of a process of its own, with one log."""
    process = MintProcess(Keys(tmp_path), mint_db)
    await process.start()
    try:
        async with MintClient(process.address, token=TOKEN) as client:
            await until_made(client)
        yield process
    finally:
        await process.kill()


@pytest.mark.parametrize("method", METHODS)
async def test_requests_that_are_never_finished_cost_bounded_memory(mint: MintProcess, method: str) -> None:
    before = mint.memory()
    async with unfinished(mint.address, method, CALLS, MAX_APPEND_BYTES) as calls:
        async with MintClient(mint.address) as stranger:
            peak = 0
            for _ in range(LOOKS):
                assert [log.origin for log in await stranger.logs()] == [ORIGIN]
                peak = max(peak, mint.memory())
                await asyncio.sleep(0.1)
        assert calls.sent > 2**20
        assert peak - before < UNFINISHED_BOUND, f"{(peak - before) >> 20} MB"


@asynccontextmanager
async def unread(address: str, size: int) -> AsyncIterator[list[AsyncGenerator[Chunk, None]]]:
    """Readers of all entries who take none of them."""
    clients = [MintClient(address) for _ in range(CHANNELS)]
    streams = [clients[at % CHANNELS].entries(ORIGIN, 0, size, size) for at in range(READERS)]
    begun = [asyncio.ensure_future(anext(stream)) for stream in streams]
    try:
        yield streams
    finally:
        await asyncio.gather(*(client.close() for client in clients))
        await asyncio.gather(*begun, return_exceptions=True)


async def read_all(reader: MintClient, size: int) -> int:
    """Where the entries end that an honest reader gets, who comes again when told to."""
    for _ in range(ATTEMPTS):
        with suppress(Busy):
            return [chunk.end async for chunk in reader.entries(ORIGIN, 0, size, size)][-1]
        await asyncio.sleep(1)
    return 0


async def test_readers_that_do_not_read_cost_bounded_memory_and_keep_nobody_else_out(mint: MintProcess) -> None:
    async with MintClient(mint.address, token=TOKEN) as client:
        for _ in range(BUNDLES):
            await append(client, [os.urandom(ENTRY_BYTES)] * BUNDLE_ENTRIES)
        size = BUNDLES * BUNDLE_ENTRIES
        before = mint.memory()
        async with unread(mint.address, size):
            peak = 0
            for _ in range(LOOKS):
                await asyncio.sleep(0.1)
                peak = max(peak, mint.memory())
            async with MintClient(mint.address) as reader:
                assert await read_all(reader, size) == size
            peak = max(peak, mint.memory())
        assert peak - before < UNREAD_BOUND, f"{(peak - before) >> 20} MB"


async def test_a_request_that_comes_in_parts_is_answered(mint: MintProcess) -> None:
    async with unfinished(mint.address, "/mintmark.v1.Log/ListLogs", 1, 3) as calls:
        await asyncio.sleep(RECEIVE_SECONDS / 10)
        calls.finish(1)
        await asyncio.wait_for(calls.answered.wait(), 30)


async def test_a_server_opens_as_many_files_as_it_may(mint_db: str, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    process = MintProcess(Keys(tmp_path), mint_db)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        await process.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        async with MintClient(process.address, token=TOKEN) as client:
            await until_made(client)
        assert resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)[0] == min(hard, MAX_OPEN_FILES)
    finally:
        await process.kill()
