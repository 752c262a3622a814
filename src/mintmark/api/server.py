"""The read API's shell: a connection pool, the head listener, and uvicorn until it is cancelled."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from mintmark.aio import supervise
from mintmark.api.app import App
from mintmark.api.connections import MAX_CONNECTIONS, Connections
from mintmark.errors import Misconfigured
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.heads import HeadListener
from mintmark.store.registers.register_store import RegisterStore
from mintmark.telemetry import event_sink, restart_teller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

DATABASE_CONNECTIONS = 8
OTHER_FILES = 64  # that the server may have open beside its clients' connections
LISTEN_BACKLOG = 2_048  # connections
KEEP_ALIVE_SECONDS = 75

_on_event = event_sink("api")


async def serve(database: str, listen: str, links: Mapping[str, str]) -> None:
    """Serves the read API until cancelled. Raises Misconfigured, Unavailable."""
    async with opened(database, links) as app:
        server = _TaskServer(uvicorn_config(app, Connections(_max_connections())))
        serving = asyncio.create_task(server.serve(sockets=[_bind(listen)]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving


def uvicorn_config(app: App, connections: Connections) -> uvicorn.Config:
    """The settings of the server of an application."""
    protocol: Any = connections.protocol  # uvicorn only calls it
    return uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
        backlog=LISTEN_BACKLOG, timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )  # fmt: skip


@asynccontextmanager
async def opened(database: str, links: Mapping[str, str]) -> AsyncIterator[App]:
    """The application over an open pool. It follows the heads. Raises Unavailable."""
    await migrate(database, "read")
    async with open_pool(database, DATABASE_CONNECTIONS) as pool:
        app = App(RegisterStore(pool), links)
        await app.registers.refresh()
        heads = HeadListener(pool, database)
        follow = supervise(partial(app.registers.follow, heads), restart_teller(_on_event, "registers"))
        watch = supervise(app.registers.watch_freshness, restart_teller(_on_event, "freshness"))
        tasks = [
            asyncio.create_task(follow),
            asyncio.create_task(watch),
            asyncio.create_task(heads.run(restart_teller(_on_event, "heads"))),
        ]
        try:
            yield app
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _TaskServer(uvicorn.Server):
    """Uvicorn in a task of ours. The caller handles the signals, and cancels the task."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield


def _max_connections() -> int:
    """The connections of clients that there are files for."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, files - OTHER_FILES))


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; else a body waits for its header's acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), int(port)))
    except OSError as error:
        bound.close()
        reason = error.strerror
        raise Misconfigured(f"{listen} cannot be bound: {reason}; choose another with [api] listen") from error
    return bound
