"""Incident 21: slow database nodes (Yeti 2018).

Five seconds in which the database answers nothing: no wrong result, no lost work, and all goes on by itself. A worker
that was held up past its lease finds that another has gone on, and changes nothing.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.places import LiveWorld, until_shown, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LATENCY = 5.0  # seconds


class Wire:
    """A unix socket before Postgres's own, which can be held up."""

    def __init__(self, conninfo: str, directory: Path) -> None:
        self._to = conninfo_to_dict(conninfo)
        self._directory = directory
        self.conninfo = make_conninfo(conninfo, host=str(directory))
        self.flows = asyncio.Event()
        self.flows.set()

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_unix_server(self._connect, self._directory / f".s.PGSQL.{self._to['port']}")
        async with server:
            yield self

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(f"{self._to['host']}/.s.PGSQL.{self._to['port']}")
        await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer), return_exceptions=True)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self.flows.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


async def test_five_seconds_without_an_answer_change_no_result(
    read_db: str, tmp_path: Path, check_log: Callable[..., object]
) -> None:
    world = LiveWorld()
    world.append([os.urandom(20) for _ in range(3000)])
    async with (
        Wire(read_db, tmp_path).up() as wire,
        open_pool(wire.conninfo, 4) as slow,
        open_pool(read_db, 4) as fast,
    ):
        held, other = worker(ReadStore(slow), [world], world), worker(ReadStore(fast), [world], world)
        held.name = "held up"
        running = [asyncio.create_task(held.run())]
        await until_shown(ReadStore(fast), world)
        world.append([os.urandom(20) for _ in range(60_000)])
        await asyncio.sleep(0.1)
        wire.flows.clear()  # with a batch on its way
        running.append(asyncio.create_task(other.run()))
        await asyncio.sleep(LATENCY)
        wire.flows.set()
        await until_shown(ReadStore(fast), world)
        world.append([b"and one more"])
        await until_shown(ReadStore(fast), world)
        assert not any(task.done() for task in running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert await check_log(read_db, world.origin, world.verifiers) == world.size
