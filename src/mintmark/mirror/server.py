"""The mirror's shell: a worker over gRPC sources, its copies served over gRPC, logs and metrics.

Settings come in as values and as `Trusting`, which reads keys anew when their files change or on SIGHUP.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import Counter

from mintmark.errors import Misconfigured, MintmarkError
from mintmark.mirror.once import Reached, once
from mintmark.mirror.worker import Worker
from mintmark.rpc import limits
from mintmark.rpc.client import Client
from mintmark.rpc.mintmark_pb import log_pb2, log_pb2_grpc
from mintmark.rpc.service import LogService
from mintmark.store.feed import HeadFeed
from mintmark.store.migrate import migrate
from mintmark.store.pool import open_pool
from mintmark.store.read_store import ReadStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mintmark.store.log_store import Pool
    from mintmark.tlog.note import Signer, Verifier

CONNECTIONS = 12
RELOAD = 2.0  # seconds between looks at the files
EVENTS = Counter("mintmark_mirror_events_total", "Troubles and contradictions that a worker met", ["event", "origin"])

_log = structlog.get_logger("mintmark.mirror")


class Trusting(Protocol):
    """Which logs to follow, and by which keys."""

    def load(self) -> Mapping[str, Sequence[Verifier]]:
        """Origin -> verifiers. Raises Misconfigured."""

    def stamp(self) -> object:
        """Changes when `load` may give something else; cheap."""


async def serve_mirror(
    database: str,
    sources: Sequence[str],
    trusting: Trusting,
    *,
    listen: str | None = None,
    cosigner: Signer | None = None,
    name: str = "",
) -> None:
    """Mirrors until cancelled. Raises Misconfigured, Unavailable at the start; later troubles are logged and retried."""
    async with _worker(database, sources, trusting, cosigner, name) as (worker, _, pool), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        tasks.create_task(_reload(worker, trusting))
        if listen is not None:
            feed = HeadFeed(pool, database)
            tasks.create_task(feed.run())
            tasks.create_task(_serve_log(worker.store, feed, listen))


async def mirror_once(
    database: str, sources: Sequence[str], trusting: Trusting, seconds: float, *, cosigner: Signer | None = None
) -> list[Reached]:
    """One run to the heads of now, for at most about `seconds`; how far each log got."""
    async with _worker(database, sources, trusting, cosigner, "") as (worker, clients, _):
        return await once(worker, clients, trusting.load(), seconds)


@asynccontextmanager
async def _worker(
    database: str, sources: Sequence[str], trusting: Trusting, cosigner: Signer | None, name: str
) -> AsyncIterator[tuple[Worker, list[Client], Pool]]:
    await migrate(database, "read")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, CONNECTIONS))
        clients = [await stack.enter_async_context(Client(address)) for address in sources]
        worker = Worker(name or _name(), ReadStore(pool), clients, trusting.load(), cosigner=cosigner, tell=_tell)
        yield worker, clients, pool


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _tell(event: str, origin: str, detail: str) -> None:
    EVENTS.labels(event, origin).inc()
    (_log.error if event == "contradiction" else _log.warning)(event, origin=origin, detail=detail)


async def _reload(worker: Worker, trusting: Trusting) -> None:
    """Keys and configuration again, on SIGHUP and when their files change; what cannot be read leaves the old in force."""
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    stamp = trusting.stamp()
    while True:
        try:
            async with asyncio.timeout(RELOAD):
                await hangup.wait()
        except TimeoutError:
            if trusting.stamp() == stamp:
                continue
        hangup.clear()
        stamp = trusting.stamp()
        try:
            worker.retrust(trusting.load())
        except MintmarkError as error:
            _log.error("configuration not reloaded", detail=str(error))


async def _serve_log(store: ReadStore, feed: HeadFeed, listen: str) -> None:
    """The same service as the mint's, from the copies: a mirror can be mirrored."""
    server = grpc.aio.server(options=limits.SERVER_OPTIONS)
    log_pb2_grpc.add_LogServicer_to_server(LogService(store, feed), server)
    serving = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(serving, server)
    services = (log_pb2.DESCRIPTOR.services_by_name["Log"].full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(services, server)
    try:
        server.add_insecure_port(listen)
    except RuntimeError as error:
        raise Misconfigured(f"{listen} is taken or cannot be bound; choose another with [mirror] listen") from error
    await server.start()
    await serving.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(grace=1)
