"""A whole deployment in a temporary directory: two Postgres servers, a mint, mirrors; and what it is compared with.

The source has the mint's database, the read server the mirrors': as on two machines, though both are here.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benches.data import batches
from benches.http import Connection
from benches.postgres import REPLICATION, postmaster
from benches.processes import Meter, running
from mintmark.auth.tokens import format_token
from mintmark.client.mint_client import MintClient
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import Busy, Unavailable
from mintmark.postgres.server import ADMIN, SETTINGS, EmbeddedServer
from mintmark.rpc.transport import CLIENT_OPTIONS
from mintmark.store.connection.migrate import migrate
from tests.support.used import fill

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

DOMAIN = "bench.example"
TOKEN = "bench"
BATCH = 1000  # entries in an append
REACHED = """
    select extract(epoch from clock_timestamp() - l.created)::float8, h.size
    from log l left join head h on h.log = l.id"""
SHOWN = "select coalesce(sum(size), 0) from head"
CONFIG = """
[mint]
database = "{mint}"
listen = "127.0.0.1:{port}"
keys = "{keys}"
tokens = "{tokens}"
[mirror]
database = "{read}"
sources = ["127.0.0.1:{port}"]
trust = "{trust}"
[api]
database = "{read}"
listen = "127.0.0.1:{http}"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Rig:
    """`async with Rig() as rig`: the mint runs; mirrors are started where they are measured.

    `used`: read databases hold entries of others first, as one does that has been in use.
    """

    used = False

    def __init__(self, *, replication: bool = False) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="mintmark-bench-"))
        self.place = DeploymentDir(self.dir)
        self.port, self.http = free_port(), free_port()
        self._stack = AsyncExitStack()
        settings = {**SETTINGS, **(REPLICATION if replication else {})}
        self.source, self.reader = (EmbeddedServer(self.dir / name, settings=settings) for name in ("source", "reader"))

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)  # a server that died says so in the place of `error`
        finally:
            await self.reader.stop()
            await self.source.stop()
            shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def read(self) -> str:
        """The read database."""
        return self.reader.conninfo("read")

    @asynccontextmanager
    async def empty_call(self) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        """A call of the mint that does nothing: its health check."""
        async with grpc.aio.insecure_channel(self.address, options=CLIENT_OPTIONS) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            yield lambda: check(health_pb2.HealthCheckRequest())

    @property
    def config(self) -> Path:
        return self.place.config

    async def _start(self) -> None:
        for directory in (self.place.keys, self.place.trust, self.place.logs):
            directory.mkdir(parents=True)
        await self.source.start(["mint", "publisher"])
        await self.reader.start(["read", "raw"])
        await migrate(self.read, "read")
        if self.used:
            await asyncio.to_thread(fill, self.read)
        self.place.tokens.write_text(format_token("bench", TOKEN, ("append", "create", "erase")))
        mint = self.source.conninfo("mint")
        values = {"mint": mint, "read": self.read, "port": self.port, "http": self.http, "keys": self.place.keys}
        self.config.write_text(CONFIG.format(**values, tokens=self.place.tokens, trust=self.place.trust))
        self.mint = await self._stack.enter_async_context(self.command("mint"))
        self.client = await self._stack.enter_async_context(MintClient(self.address, token=TOKEN))
        await self.answering(self.client)

    def command(
        self, name: str, *more: str, environment: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Process]:
        """A server of this configuration, for the time of a block."""
        arguments = (name, "--config", str(self.config), *more)
        return running(arguments, self.place.logs / f"{name}.log", environment)

    @staticmethod
    async def answering(client: MintClient) -> None:
        """Waits for a server."""
        while True:
            try:
                await client.logs()
                return
            except Unavailable:
                await asyncio.sleep(0.05)

    def meters(self) -> list[Meter]:
        """Of what runs all the time."""
        servers = (("source Postgres", self.source), ("read Postgres", self.reader))
        return [Meter("mint", self.mint.pid), *(Meter(name, postmaster(server)) for name, server in servers)]

    async def create(self, name: str, kind: str) -> str:
        """An empty log; its origin."""
        origin = f"{DOMAIN}/{name}"
        self.place.adopt(origin)
        (self.place.trust / f"{name}.vkey").rename(self.dir / f"{name}.vkey")  # mirrored when it is asked for
        await self.client.create(origin, kind)
        return origin

    async def fill(self, name: str, kind: str, count: int, clients: int = 4, batch: int = BATCH) -> float:
        """A log of so many entries, appended by so many clients; entries a second."""
        origin = await self.create(name, kind)
        made = list(batches(kind, count, batch)) if count <= 200_000 else batches(kind, count, batch)
        return await self.append(origin, iter(made), count, clients)

    async def append(self, origin: str, made, count: int, clients: int = 4) -> float:  # type: ignore[no-untyped-def]
        """Appends batches by several clients at once; entries a second. A register's definitions go first."""
        entries, items = next(made)
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(MintClient(self.address, token=TOKEN)) for _ in range(clients)]
            await asyncio.gather(*(self.answering(peer) for peer in peers))
            began = time.perf_counter()
            await peers[0].append(origin, secrets.token_bytes(16), entries, items)

            async def work(peer: MintClient) -> None:
                for entries, items in made:
                    await append(peer, origin, entries, items)

            await asyncio.gather(*map(work, peers))
            return count / (time.perf_counter() - began)

    async def forget(self) -> None:
        """Empties the read database, but for the entries of others."""
        async with await psycopg.AsyncConnection.connect(self.read, autocommit=True) as conn:
            await conn.execute("truncate log restart identity cascade")
            await conn.execute("delete from entry where log > 0" if self.used else "truncate entry")
            await conn.execute("vacuum entry")

    @asynccontextmanager
    async def mirror(self, *names: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
        """A mirror of these logs."""
        for key in self.place.trust.iterdir():
            key.unlink()
        for name in names:
            shutil.copy(self.dir / f"{name}.vkey", self.place.trust / f"{name}.vkey")
        async with self.command("mirror", environment=environment) as process:
            yield process

    async def mirrored(self, size: int) -> float:
        """Waits until the head of the only log has this size; seconds since the mirror began to follow it."""
        async with await psycopg.AsyncConnection.connect(self.read, autocommit=True) as conn:
            await conn.execute("listen mintmark_head")  # to look again and again would load what is measured
            while (row := await (await conn.execute(REACHED)).fetchone()) is None or row[1] != size:
                async for _ in conn.notifies(stop_after=1):
                    pass
        return float(row[0])

    async def shown(self, size: int) -> None:
        """Waits until the heads of all logs together have this size."""
        async with await psycopg.AsyncConnection.connect(self.read, autocommit=True) as conn:
            while (row := await (await conn.execute(SHOWN)).fetchone()) is None or row[0] < size:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def serving(self) -> None:
        """Waits for the read API."""
        while True:
            try:
                async with Connection(self.http) as http:
                    await http.get("/robots.txt")
                    return
            except OSError:
                await asyncio.sleep(0.05)

    async def admin(self, server: EmbeddedServer, database: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
        """A superuser's connection."""
        return await psycopg.AsyncConnection.connect(server.conninfo(database, ADMIN), autocommit=True)


async def append(client: MintClient, origin: str, entries: bytes, items: bytes = b"") -> None:
    """Appends a batch, again while the mint is busy."""
    request = secrets.token_bytes(16)
    while True:
        try:
            await client.append(origin, request, entries, items)
            return
        except Busy as busy:
            await asyncio.sleep(busy.retry_after)


async def log_id(database: str, name: str) -> int:
    """The id of a log, as soon as it is there."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        while True:
            row = await (await conn.execute("select id from log where name = %s", (name,))).fetchone()
            if row:
                return int(row[0])
            await asyncio.sleep(0.05)
