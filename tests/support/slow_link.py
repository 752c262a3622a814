"""A slow link: a TCP relay on loopback, through which a server's answers come at so many bytes a second, and no faster.

All connections share the rate, as they share a line. What a client sends is not slowed.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE_BYTES = 4_096  # that pass at once


class SlowLink:
    """A relay to a server; `sent` is how many bytes of its answers passed."""

    def __init__(self, address: str, rate: int) -> None:
        self._host, _, port = address.rpartition(":")
        self._port, self._rate = int(port), rate
        self._free_at = 0.0  # when the line has sent what it was given
        self._serving: set[asyncio.Task[None]] = set()
        self.sent = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection, until `end`."""
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port, limit=PIECE_BYTES)
        back = asyncio.create_task(self._slowly(up_reader, writer))
        try:
            with suppress(ConnectionError):
                while data := await reader.read(2**16):
                    up_writer.write(data)
                    await up_writer.drain()
        finally:
            back.cancel()
            for each in (up_writer, writer):
                each.close()
            await asyncio.gather(back, up_writer.wait_closed(), writer.wait_closed(), return_exceptions=True)

    async def _slowly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(PIECE_BYTES):
                now = asyncio.get_running_loop().time()
                self._free_at = max(now, self._free_at) + len(data) / self._rate
                await asyncio.sleep(self._free_at - now)
                self.sent += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def end(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@asynccontextmanager
async def slow_link(address: str, rate: int) -> AsyncIterator[tuple[str, SlowLink]]:
    """A slow link to the server at HOST:PORT, for the time of the block; its own HOST:PORT, and the link."""
    link = SlowLink(address, rate)
    server = await asyncio.start_server(link.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"127.0.0.1:{port}", link
    finally:
        server.close()
        await link.end()
