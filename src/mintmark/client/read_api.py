"""The read API, as clients ask it. Nothing proves its answers.

So it is asked only where an answer can be checked afterwards, or harms nobody if it is wrong: where a record's latest
entry is, and if there is a record to end.
"""

from __future__ import annotations

import json
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from mintmark.errors import Misconfigured, Rejected, Unavailable
from mintmark.sources.http_client import GZIP_ENCODINGS, Gunzip, is_local, name_proxy

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 10.0  # for an answer to begin, and between two parts of it
MAX_ANSWER_BYTES = 2**20


class RecordLocation(NamedTuple):
    """The index of a record's latest entry among the first `size` of its log; None for a record the API has not."""

    index: int | None  # type: ignore[assignment]  # instead of tuple.index
    size: int


NOWHERE = RecordLocation(None, 0)


class NotAReadApi(Unavailable):
    """The answer is not a read API's, or is about something else."""


class ReadApi:
    """The read API at a URL. Raises Misconfigured for what is no URL of one."""

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        if not url.startswith(("http://", "https://")):
            raise Misconfigured(f"{url} is no address of a read API; give it as --http http://HOST:PORT")
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Ends its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def is_serving(self) -> bool:
        """True if the API answers."""
        return await self._status(f"{self.url}/") == HTTPStatus.OK

    async def locate(self, register: str, key: str, *, fresh: bool = False) -> RecordLocation:
        """The place of a record in the API; `fresh` asks past any cache.

        Raises:
            NotAReadApi: the answer is not about this record.
            Unavailable: no answer, or an error.
        """
        import httpx

        url = f"{self._register(register)}/records/{quote(key, safe='')}.json?full=1"
        try:
            status, headers, body = await self._get(url, fresh)
            if status == HTTPStatus.NOT_FOUND:
                return NOWHERE
            if status != HTTPStatus.OK:
                raise Unavailable(f"{url} answered {status}")
            if len(body) > MAX_ANSWER_BYTES:
                raise NotAReadApi(f"{url} answers more than {MAX_ANSWER_BYTES:,} bytes; no record is so long")
            return RecordLocation(int(json.loads(body)[key]["index"]), int(headers["Mintmark-Size"]))
        except (httpx.RemoteProtocolError, zlib.error, ValueError, KeyError, TypeError) as error:
            raise NotAReadApi(f"{url} is not a mintmark read API; give its address with --http") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"{error or type(error).__name__}{name_proxy(self.url)}"
            raise Unavailable(f"{self.url} cannot be reached: {reason}") from error

    async def check_stands(self, register: str, key: str, size: int) -> None:
        """Refuses to end a record that does not stand: a misspelt key, for a tombstone stays for good.

        The mint has no index of keys and takes any tombstone. An API that is away, or has fewer than `size` entries,
        refuses nothing.

        Raises:
            Rejected: the API has all `size` entries, and among them no record of this key that stands.
        """
        base, at = self._register(register), f".json?at={size}"
        record = f"{base}/records/{quote(key, safe='')}"
        if await self._status(record + at) != HTTPStatus.NOT_FOUND:
            return
        if await self._status(f"{base}/register{at}") != HTTPStatus.OK:
            return
        if await self._status(f"{record}/entries{at}") == HTTPStatus.OK:
            raise Rejected(f"record {key!r} has ended already", rule="tombstone")
        raise Rejected(f"no record {key!r} to end", rule="tombstone")

    def _register(self, name: str) -> str:
        return f"{self.url}/{quote(name, safe='')}"

    async def _status(self, url: str) -> int | None:
        """The status of an answer, if there is one."""
        import httpx

        try:
            return (await self._get(url, fresh=True))[0]
        except (httpx.HTTPError, httpx.InvalidURL, zlib.error):
            return None

    async def _get(self, url: str, fresh: bool) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and the body; of one that is too long, the beginning, which is too long too."""
        import httpx

        if self._client is None:
            ours = is_local(self.url)
            self._client = httpx.AsyncClient(timeout=self._timeout, follow_redirects=True, trust_env=not ours)
        headers = {"Accept-Encoding": "identity"}  # a proxy may pack it none the less
        if fresh:
            headers["Cache-Control"] = "no-cache"
        body = bytearray()
        async with self._client.stream("GET", url, headers=headers) as response:
            packed = response.headers.get("content-encoding", "").strip().lower() in GZIP_ENCODINGS
            unpack = Gunzip(MAX_ANSWER_BYTES + 1).feed if packed else bytes
            async for part in response.aiter_raw():
                body += unpack(part)
                if len(body) > MAX_ANSWER_BYTES:
                    break
        return response.status_code, response.headers, bytes(body[: MAX_ANSWER_BYTES + 1])
