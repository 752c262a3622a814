"""The client of a deployment: which server to ask, which keys to believe.

Each part is imported when it is first used: a command that only reads a head does not wait for the imports of files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mintmark.client.keys import KeyRing
from mintmark.client.log import AsyncLog, Servers, follow
from mintmark.client.up_directory import TOKEN_FILE, TRUST_DIRECTORY, check_token, read_addresses, read_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType
    from typing import Self

    from mintmark.client.keys import Keys
    from mintmark.client.read_api import ReadApi
    from mintmark.client.register import AsyncRegister
    from mintmark.errors import Unavailable
    from mintmark.tlog.checkpoint import Checkpoint


class AsyncClient:
    """Reads, verifies and appends; `async with` opens and closes its connections.

        async with AsyncClient("mint.example:7070", keys="country.vkey") as client:
            head = await client.log("country").checkpoint()

    Args:
        grpc: the HOST:PORT of a mint or a mirror.
        keys: the public keys to believe: vkeys, files of them, directories of NAME.vkey files, or several of these.
            They never come from the server.
        http: the URL of a read API, to find records faster.
        token: the bearer token, to append with.

    Raises:
        Malformed: a key that is none.
        Misconfigured: a key file that cannot be read, no URL, or a token that no header can hold.
    """

    def __init__(self, grpc: str, keys: Keys | KeyRing, *, http: str | None = None, token: str | None = None) -> None:
        self.grpc, self.http = grpc, http
        self.keys = keys if isinstance(keys, KeyRing) else KeyRing(keys)
        self.token = check_token(token or "", "the token is not one")
        self._servers: Servers | None = None
        self._logs: dict[str, AsyncLog] = {}

    @classmethod
    def from_directory(cls, directory: str | Path = ".mintmark") -> Self:
        """A client of the `mintmark up` that runs in a directory. Raises Unavailable when none does."""
        place = Path(directory)
        addresses = read_addresses(place, "name a server and its logs' keys: Client(grpc, keys)")
        return cls(addresses.grpc, place / TRUST_DIRECTORY, http=addresses.http, token=read_token(place / TOKEN_FILE))

    async def __aenter__(self) -> Self:
        from mintmark.client.mint_client import MintClient

        read_api = self._read_api(self.http) if self.http is not None else None
        self._servers = Servers(MintClient(self.grpc, token=self.token), read_api)
        return self

    def _read_api(self, url: str) -> ReadApi:
        from mintmark.client.read_api import ReadApi

        return ReadApi(url)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        servers, self._servers = self._open, None
        self._logs.clear()
        await servers.rpc.close()
        if servers.read_api is not None:
            await servers.read_api.close()

    def log(self, name: str) -> AsyncLog:
        """The log of a short name or an origin. Raises Misconfigured where no key of it is known."""
        trusted = self.keys.log(name)
        if trusted.origin not in self._logs:
            self._logs[trusted.origin] = AsyncLog(self._open, trusted)
        return self._logs[trusted.origin]

    def register(self, name: str) -> AsyncRegister:
        """The register of a short name or an origin. Raises Misconfigured where no key of it is known."""
        from mintmark.client.register import AsyncRegister

        return AsyncRegister(self.log(name))

    def follow(
        self, *names: str, on_outage: Callable[[Unavailable, float], None] = lambda error, pause: None
    ) -> AsyncIterator[Checkpoint]:
        """The heads of several logs as they are signed, over one stream; see `AsyncLog.follow`.

        `on_outage` is called with the error and the seconds until the next attempt.
        """
        return follow(self._open.rpc, [self.keys.log(name) for name in names], on_outage)

    @property
    def _open(self) -> Servers:
        if self._servers is None:
            raise RuntimeError("open the client first: `async with`")
        return self._servers
