"""Static files of a hostile web server, over HTTP: each bounded in bytes and time, so many in flight and no more.

gzip is unpacked here, up to the bound and no further. A redirect is not followed: where the files are is the operator's
word. httpx is imported by the first source that needs it, for most mirrors have none.
"""

from __future__ import annotations

import asyncio
import zlib
from functools import cache
from typing import TYPE_CHECKING

from mintmark import __version__
from mintmark.errors import Busy, Malformed, Unavailable

if TYPE_CHECKING:
    import ssl

    import httpx

AT_ONCE = 16  # requests of one source
CONNECT, READ, WHOLE = 3.0, 10.0, 30.0  # seconds for a connection, between two reads, for a file
ABSENT = (403, 404, 410)  # an object store that may not be listed says 403 of what is not there
LATER = (429, 503)
RETRY_AFTER = 60.0  # seconds that a server may ask us to wait, at most
HEADERS = {"Accept-Encoding": "gzip, identity", "User-Agent": f"mintmark/{__version__}"}


class HttpFiles:
    """The files below a URL, which ends with a slash."""

    def __init__(self, url: str) -> None:
        import httpx

        self.url = url
        self._client = httpx.AsyncClient(
            headers=HEADERS,
            timeout=httpx.Timeout(READ, connect=CONNECT, pool=None),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            verify=_authorities(),
        )
        self._lanes = asyncio.Semaphore(AT_ONCE)
        self._broken = httpx.NetworkError, httpx.RemoteProtocolError
        self._failed = httpx.HTTPError, httpx.InvalidURL

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    async def get(self, path: str, most: int) -> bytes | None:
        """A file of at most `most` bytes; None where there is none.

        Raises:
            Malformed: it is longer.
            Busy: the server asks to come back later.
            Unavailable: there is no answer, or none that is a file.
        """
        async with self._lanes:
            try:
                async with asyncio.timeout(WHOLE):
                    return await self._get(path, most)
            except TimeoutError:
                raise Unavailable(f"{self.url}{path} takes longer than {WHOLE:.0f} s") from None
            except self._failed as error:
                raise Unavailable(f"{self.url}{path} cannot be had: {error or type(error).__name__}") from error

    async def _get(self, path: str, most: int) -> bytes | None:
        """A connection that was kept open may have been closed while it was idle: then once more, on another."""
        try:
            return await self._ask(path, most)
        except self._broken:
            return await self._ask(path, most)

    async def _ask(self, path: str, most: int) -> bytes | None:
        async with self._client.stream("GET", self.url + path) as response:
            if response.status_code in ABSENT:
                return None
            if response.status_code in LATER:
                raise Busy(f"{self.url} answers {response.status_code}", _retry_after(response))
            if response.status_code != 200:
                raise Unavailable(f"{self.url}{path} answers {response.status_code}{_whither(response)}")
            return await _body(response, f"{self.url}{path}", most)


@cache
def _authorities() -> ssl.SSLContext:
    """Whom to believe about a host's name: read once, not for each of a thousand sources."""
    import httpx

    return httpx.create_ssl_context()


async def _body(response: httpx.Response, name: str, most: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise Unavailable(f"{name} came as {encoding}, which was not asked for")
    unpack = zlib.decompressobj(31) if encoding == "gzip" else None
    body = bytearray()
    async for part in response.aiter_raw():
        try:
            body += part if unpack is None else unpack.decompress(part, most + 1 - len(body))
        except zlib.error as error:
            raise Unavailable(f"{name} is not the gzip that it says: {error}") from error
        if len(body) > most:
            raise Malformed(f"{name} is longer than {most:,} bytes")
    if unpack is not None and not unpack.eof:
        raise Unavailable(f"{name} ends before its gzip does")
    return bytes(body)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), RETRY_AFTER) if text.isascii() and text.isdecimal() else 1.0


def _whither(response: httpx.Response) -> str:
    target = response.headers.get("location", "")
    return f", a redirect to {target[:200]}; if that is right, configure it" if response.is_redirect else ""
