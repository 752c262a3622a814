"""Static files of a hostile web server, over HTTP: each bounded in bytes and time, and so are requests in number.

gzip is unpacked here, up to the bound and no further. A redirect is not followed: the operator says where the
files are. httpx is imported by the first source that needs it, for most mirrors have none.
"""

from __future__ import annotations

import asyncio
import zlib
from functools import cache
from typing import TYPE_CHECKING

from mintmark import __version__
from mintmark.errors import Busy, Malformed, Unavailable
from mintmark.sources.http_client import GZIP_ENCODINGS, Gunzip, is_local, name_proxy

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping

    import httpx

MAX_REQUESTS = 16  # of one source at once
CONNECT_SECONDS, READ_SECONDS, FILE_SECONDS = 3.0, 10.0, 30.0  # for a connection, between two reads, for a file
MIN_BYTES_PER_SECOND = 2_000  # of a file, which has as much longer as it needs at this rate
ABSENT_STATUSES = (403, 404, 410)  # an object store that may not be listed answers 403 for a file that is not there
BUSY_STATUSES = (429, 503)
CHECKPOINT_PATH = "checkpoint"
FRESHNESS_HEADER = "Mintmark-Freshness"  # of a read API: what its own sources say; a plain web server has none
MAX_RETRY_AFTER_SECONDS = 60.0  # that a server may ask us to wait
REQUEST_HEADERS = {"Accept-Encoding": "gzip, identity", "User-Agent": f"mintmark/{__version__}"}
PAST_CACHES_HEADERS = {"Cache-Control": "no-cache", "Pragma": "no-cache"}  # the second for those of HTTP/1.0


class HttpFiles:
    """The files below a URL, which ends with a slash. With `past_caches`, caches on the way are to ask its server."""

    past_caches = False

    def __init__(self, url: str) -> None:
        import httpx

        self.url = url
        self.on_bytes: Callable[[], None] = lambda: None  # called whenever bytes come
        self._client = httpx.AsyncClient(
            headers=REQUEST_HEADERS,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=MAX_REQUESTS, max_keepalive_connections=MAX_REQUESTS),
            verify=_authorities(),
            trust_env=not is_local(url),
        )
        self._lanes = asyncio.Semaphore(MAX_REQUESTS)
        self.confirmed = True  # False: the server of the last checkpoint says that it may not be the newest
        self._broken = httpx.NetworkError, httpx.RemoteProtocolError
        self._failed = httpx.HTTPError, httpx.InvalidURL

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    async def get(self, path: str, max_bytes: int, *, past_caches: bool = False) -> bytes | None:
        """A file of at most `max_bytes` bytes; None where there is none.

        Raises:
            Malformed: it is longer.
            Busy: the server asks to come back later.
            Unavailable: there is no answer, or none that is a file.
        """
        past = past_caches or self.past_caches
        async with self._lanes:
            try:
                async with asyncio.timeout(FILE_SECONDS) as limit:
                    return await self._get(path, max_bytes, PAST_CACHES_HEADERS if past else {}, limit)
            except TimeoutError:
                raise Unavailable(f"{self.url}{path} comes slower than {MIN_BYTES_PER_SECOND:,} bytes/s") from None
            except self._failed as error:
                reason = f"{error or type(error).__name__}{name_proxy(self.url)}"
                raise Unavailable(f"{self.url}{path} cannot be had: {reason}") from error

    async def _get(self, path: str, max_bytes: int, headers: Mapping[str, str], limit: asyncio.Timeout) -> bytes | None:
        """A connection that was kept open may have been closed while it was idle: then once more, on another."""
        try:
            return await self._request(path, max_bytes, headers, limit)
        except self._broken:
            return await self._request(path, max_bytes, headers, limit)

    async def _request(
        self, path: str, max_bytes: int, headers: Mapping[str, str], limit: asyncio.Timeout
    ) -> bytes | None:
        async with self._client.stream("GET", self.url + path, headers=headers) as response:
            if response.status_code in ABSENT_STATUSES:
                return None
            if response.status_code in BUSY_STATUSES:
                raise Busy(f"{self.url} answers {response.status_code}", _retry_after(response))
            if response.status_code != 200:
                raise Unavailable(f"{self.url}{path} answers {response.status_code}{_redirect(response)}")
            if path == CHECKPOINT_PATH:
                self.confirmed = response.headers.get(FRESHNESS_HEADER, "current") == "current"
            return await _body(self._parts(response, limit), response, f"{self.url}{path}", max_bytes)

    async def _parts(self, response: httpx.Response, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
        """The body as it comes: each part gives the file more time."""
        async for part in response.aiter_raw():
            limit.reschedule((limit.when() or 0) + len(part) / MIN_BYTES_PER_SECOND)
            self.on_bytes()
            yield part


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities of the system, read once, not for each of a thousand sources."""
    import httpx

    return httpx.create_ssl_context()


async def _body(parts: AsyncIterator[bytes], response: httpx.Response, name: str, max_bytes: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", *GZIP_ENCODINGS):
        raise Unavailable(f"{name} came as {encoding}, which was not asked for")
    unpack = Gunzip(max_bytes + 1) if encoding in GZIP_ENCODINGS else None
    body = bytearray()
    async for part in parts:
        try:
            body += part if unpack is None else unpack.feed(part)
        except zlib.error as error:
            raise Unavailable(f"{name} is not the gzip that it says: {error}") from error
        if len(body) > max_bytes:
            raise Malformed(f"{name} is longer than {max_bytes:,} bytes")
    if unpack is not None and not unpack.ended:
        raise Unavailable(f"{name} ends before its gzip does")
    return bytes(body)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdecimal() else 1.0


def _redirect(response: httpx.Response) -> str:
    target = response.headers.get("location", "")
    return f", a redirect to {target[:200]}; if that is right, configure it" if response.is_redirect else ""
