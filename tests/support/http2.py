"""A client of HTTP/2 (RFC 9113) that begins gRPC calls and does not finish their messages."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_HEADERS, END_STREAM, ACK = 4, 1, 1
INITIAL_WINDOW, FRAME_BYTES = 65_535, 16_384
INITIAL_WINDOW_SETTING = 4


class UnfinishedCalls:
    """Calls on one connection, each with a message that lacks its last byte. It keeps to the windows it is given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._initial = INITIAL_WINDOW
        self._windows = {0: INITIAL_WINDOW}
        self._left: dict[int, int] = {}
        self.sent = 0
        self.answered = asyncio.Event()  # one of them
        writer.write(PREFACE)
        self._write(SETTINGS, 0, 0, b"")

    def begin(self, method: str, message_bytes: int) -> None:
        """Begins one more call."""
        stream = 2 * len(self._left) + 1
        headers = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "localhost"}
        headers |= {"te": "trailers", "content-type": "application/grpc"}
        block = b"".join([b"\0" + _text(name) + _text(value) for name, value in headers.items()])
        self._write(HEADERS, END_HEADERS, stream, block)
        self._windows[stream] = self._initial
        self._left[stream] = message_bytes - 1
        self._write(DATA, 0, stream, struct.pack(">BI", 0, message_bytes))

    def finish(self, call: int) -> None:
        """Sends the last byte of a call's message, and its end."""
        self._write(DATA, END_STREAM, 2 * call - 1, b"\0")

    async def run(self) -> None:
        """Sends what the server lets it, until the server ends the connection."""
        try:
            while not self._writer.is_closing():
                self._send()
                await self._writer.drain()
                header = await self._reader.readexactly(9)
                kind, flags, stream = header[3], header[4], struct.unpack(">I", header[5:])[0]
                self._take(kind, flags, stream, await self._reader.readexactly(int.from_bytes(header[:3], "big")))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            self._windows[stream] = self._windows.get(stream, 0) + struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == INITIAL_WINDOW_SETTING:
                    self._windows = {s: w + (value - self._initial if s else 0) for s, w in self._windows.items()}
                    self._initial = value
            self._write(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._write(PING, ACK, 0, payload)
        elif kind in (HEADERS, RST_STREAM):  # an answer: nobody waits for the rest
            self._left[stream] = 0
            self.answered.set()

    def _send(self) -> None:
        for stream, left in self._left.items():
            size = min(left, self._windows[stream], self._windows[0])
            for start in range(0, size, FRAME_BYTES):
                self._write(DATA, 0, stream, bytes(min(FRAME_BYTES, size - start)))
            self._left[stream] -= size
            self._windows[stream] -= size
            self._windows[0] -= size
            self.sent += size

    def _write(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._writer.write(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


@asynccontextmanager
async def unfinished(address: str, method: str, calls: int, message_bytes: int) -> AsyncIterator[UnfinishedCalls]:
    """So many unfinished calls of a method on one connection, for the time of the block."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    made = UnfinishedCalls(reader, writer)
    for _ in range(calls):
        made.begin(method, message_bytes)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
