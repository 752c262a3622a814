"""The mirror's shell: a worker over its sources, its copies served over gRPC, logs and metrics.

Settings come in as values and as `KeySource`, which reads keys anew when their files change or on SIGHUP.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import grpc
import structlog

from mintmark.aio import reload_on_change
from mintmark.errors import MintmarkError, Misconfigured
from mintmark.mirror.run_once import NOTHING, LogResult, once
from mintmark.mirror.worker import Worker
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.server import SERVER_OPTIONS, add_standard_services, bind, strict_server
from mintmark.rpc.service import LogService
from mintmark.sources.tiles import open_source
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.log.heads import HeadListener
from mintmark.store.mirror.read_store import ReadStore
from mintmark.telemetry import event_sink
from mintmark.tlog.cosignature import COSIGNATURE_KINDS
from mintmark.tlog.keys import public_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mintmark.rpc.client import RpcClient
    from mintmark.sources.tiles import TilesSource
    from mintmark.tlog.note import Signer, Verifier

CONNECTIONS = 24
RELOAD = 2.0  # seconds between looks at the files

_log = structlog.get_logger("mintmark.mirror")
_on_event = event_sink("mirror")


class FollowConfig(NamedTuple):
    """What to follow: origin -> verifiers, and from where: HOST:PORT or a URL, best first."""

    trust: Mapping[str, Sequence[Verifier]]
    sources: Sequence[str]


class KeySource(Protocol):
    """Which logs to follow, by which keys, from which sources."""

    def load(self) -> FollowConfig:
        """As it is now. Raises Misconfigured."""

    def stamp(self) -> object:
        """Changes when `load` may give something else; cheap."""


async def serve_mirror(
    database: str,
    trusting: KeySource,
    *,
    listen: str | None = None,
    cosigners: Sequence[Signer] = (),
    name: str = "",
) -> None:
    """Mirrors until cancelled. Raises Misconfigured, Unavailable at the start; later troubles are tried again."""
    async with (
        _worker(database, trusting, cosigners, name) as (worker, clients),
        _serving(worker.store, database, listen) as feed,
        asyncio.TaskGroup() as tasks,
    ):
        _say(worker.trust)
        tasks.create_task(worker.run())
        tasks.create_task(reload_on_change(trusting.stamp, lambda: _reload(worker, clients, trusting), RELOAD))
        if feed is not None:
            tasks.create_task(feed.run())


async def mirror_once(
    database: str, trusting: KeySource, seconds: float, *, cosigners: Sequence[Signer] = ()
) -> list[LogResult]:
    """One run to the heads of now, for at most about `seconds`; how far each log got."""
    async with _worker(database, trusting, cosigners, "") as (worker, _):
        return await once(worker, seconds)


class _Clients:
    """A client for each source, as long as it is one."""

    def __init__(self) -> None:
        self._open: dict[str, RpcClient | TilesSource] = {}

    def of(self, sources: Sequence[str]) -> list[RpcClient | TilesSource]:
        self._open |= {address: open_source(address) for address in sources if address not in self._open}
        return [self._open[address] for address in dict.fromkeys(sources)]

    async def keep(self, sources: Sequence[str]) -> None:
        for address in self._open.keys() - set(sources):
            await self._open.pop(address).close()


@asynccontextmanager
async def _worker(
    database: str, trusting: KeySource, cosigners: Sequence[Signer], name: str
) -> AsyncIterator[tuple[Worker, _Clients]]:
    following = trusting.load()
    check_cosigners(cosigners, following.trust)
    await migrate(database, "read")
    clients = _Clients()
    try:
        async with open_pool(database, CONNECTIONS) as pool:
            sources = clients.of(following.sources)
            store = ReadStore(pool)
            named = name or _name()
            yield Worker(named, store, sources, following.trust, cosigners=cosigners, on_event=_on_event), clients
    finally:
        await clients.keep(())


def check_cosigners(cosigners: Sequence[Signer], trust: Mapping[str, Sequence[Verifier]]) -> None:
    """A mirror speaks for itself. Raises Misconfigured for a key that a log signs with, or that is not for
    cosignatures.
    """
    if any(cosigner.kind not in COSIGNATURE_KINDS for cosigner in cosigners):
        raise Misconfigured("[mirror] key is a log's; make a cosigner's with mintmark keygen --cosigner")
    ours = {public_key(cosigner.vkey) for cosigner in cosigners}
    if origin := next((o for o, keys in trust.items() for key in keys if public_key(key.vkey) in ours), None):
        raise Misconfigured(f"[mirror] key is that of {origin}; a mirror cosigns with a key of its own")


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _say(trust: Mapping[str, Sequence[Verifier]]) -> None:
    """What is followed from now on, for whoever reads the log."""
    if trust:
        _log.info("following", logs=len(trust))
    else:
        _log.warning(NOTHING)


async def _reload(worker: Worker, clients: _Clients, trusting: KeySource) -> None:
    """Keys and configuration again; what cannot be read leaves the old in force."""
    try:
        following = trusting.load()
        check_cosigners(worker.cosigners, following.trust)
    except MintmarkError as error:
        _log.error("configuration not reloaded", detail=str(error))
    else:
        _say(following.trust)
        worker.follow(following.trust, clients.of(following.sources))
        await clients.keep(following.sources)


@asynccontextmanager
async def _serving(store: ReadStore, database: str, listen: str | None) -> AsyncIterator[HeadListener | None]:
    """The same service as the mint's, from the copies, for the time of the block: a mirror can be mirrored.

    Gives the feed that it serves from, which the caller runs.
    """
    if listen is None:
        yield None
        return
    feed = HeadListener(store.pool, database)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    log_pb2_grpc.add_LogServicer_to_server(LogService(CachedLogReader(store), feed), strict_server(server))
    await add_standard_services(server, "Log")
    bind(server, listen, "[mirror] listen")
    await server.start()
    try:
        yield feed
    finally:
        await server.stop(grace=1)
