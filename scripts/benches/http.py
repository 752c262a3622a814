"""The smallest client of HTTP/1.1 that keeps its connection: a load generator should cost less than what it loads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self


class Connection:
    """`async with Connection(port) as http`; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def get(self, path: str) -> bytes:
        """The body at a path. Raises MintmarkError for any status but 200."""
        return b"".join([part async for part in self.stream(path)])

    async def stream(self, path: str) -> AsyncIterator[bytes]:
        """The same in parts, as they come."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise MintmarkError(f"{path}: {head.decode()}")
        if b"transfer-encoding: chunked" not in head:
            yield await self._reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
