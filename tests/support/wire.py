"""The wire between a client and Postgres. It can be cut at any request: before it is sent, or after it was answered.

client ──> request n ─╳                 failed
client ──> request n ──> Postgres ─╳──  failed, but done

A connection's start is no request: a pool makes connections when it likes, and tries again by itself.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


READY = b"Z\0\0\0\x05I"  # the server waits for a query
PIN = b"set_config("  # in the statement that sets a new session


class Wire:
    """A proxy on a port of its own; `conninfo` goes through it."""

    def __init__(self, conninfo: str) -> None:
        self._upstream = conninfo_to_dict(conninfo)
        self._conninfo = conninfo
        self._left: int | None = None
        self._deliver = False
        self._serving: set[asyncio.Task[None]] = set()
        self.cut = False
        self.conninfo = ""

    def arm(self, request: int, *, deliver: bool) -> None:
        """Cuts the connection once, at its request number `request` from now on (0 is the next)."""
        self._left, self._deliver, self.cut = request, deliver, False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.conninfo = make_conninfo(self._conninfo, host="127.0.0.1", port=port, sslmode="disable")
        async with server:
            yield self
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._serving.add(task)
        path = f"{self._upstream['host']}/.s.PGSQL.{self._upstream['port']}"
        up_reader, up_writer = await asyncio.open_unix_connection(path)
        started = asyncio.Event()
        back = asyncio.create_task(_copy(up_reader, writer, started))
        with suppress(ConnectionError):
            while request := await reader.read(2**20):
                if started.is_set() and PIN not in request and self._now():
                    await self._break(request, up_reader, up_writer, back)
                    break
                up_writer.write(request)
                await up_writer.drain()
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)
        writer.close()
        up_writer.close()

    def _now(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        self.cut = self._left < 0
        if self.cut:
            self._left = None
        return self.cut

    async def _break(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.Task[None]
    ) -> None:
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)
        if self._deliver:
            writer.write(request)
            await writer.drain()
            with suppress(TimeoutError):  # part of a COPY has no answer
                await asyncio.wait_for(reader.read(2**16), 0.2)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, started: asyncio.Event) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(2**20):
            if READY in data:
                started.set()
            writer.write(data)
            await writer.drain()
    writer.close()
