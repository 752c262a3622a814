"""The mint's shell: the services `Mint` and `Log` over gRPC, its logs and its database.

Settings come in as values. To stop is orderly: no new call is taken, what is being committed is answered, the marks are
written, and then the database is left.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import grpc
import structlog

from mintmark.aio import reload_on_change
from mintmark.auth.interceptor import AuthInterceptor
from mintmark.auth.tokens import Tokens
from mintmark.errors import Misconfigured
from mintmark.mint.keys import KeyDirectory
from mintmark.mint.logs import Logs
from mintmark.mint.pool import AppendPool
from mintmark.mint.service import MintService
from mintmark.rpc import limits
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.service import LogService
from mintmark.rpc.serving import add_standard_services, bind
from mintmark.rpc.strict import strict_server
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.log.heads import HeadListener
from mintmark.store.log.log_store import LogStore
from mintmark.store.mint.mint_store import MintStore
from mintmark.telemetry import event_sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

COMMITS, READS = 8, 8  # connections
GRACE = 2.0  # seconds for the calls that are under way
RELOAD = 2.0  # seconds between looks at the tokens

_log = structlog.get_logger("mintmark.mint")
_on_event = event_sink("mint")


async def serve_mint(database: str, listen: str, keys: Path, tokens: Path) -> None:
    """Serves until cancelled. Raises Misconfigured, Unavailable at the start; later troubles are logged."""
    async with running_mint(database, listen, keys, tokens) as mint:
        await mint.chores


class Mint(NamedTuple):
    """A mint that serves: the HOST:PORT that it listens on, and what it does beside, which ends only by a defect."""

    address: str
    chores: asyncio.Future[tuple[None, None, None, None]]


@asynccontextmanager
async def running_mint(database: str, listen: str, keys: Path, tokens: Path) -> AsyncIterator[Mint]:
    """A mint that serves for the time of the block."""
    directory, known = KeyDirectory(keys), Tokens(tokens)
    await migrate(database, "mint")
    async with AsyncExitStack() as stack:
        commits = await stack.enter_async_context(open_pool(database, COMMITS))
        reads = await stack.enter_async_context(open_pool(database, READS))
        store = MintStore(commits)
        await store.check_durable()
        logs, feed = Logs(store, AppendPool(), directory, on_event=_on_event), HeadListener(reads, database)
        server = grpc.aio.server(options=limits.MINT_OPTIONS, interceptors=[AuthInterceptor(known)])
        log_pb2_grpc.add_MintServicer_to_server(MintService(logs, known), strict_server(server))
        log_pb2_grpc.add_LogServicer_to_server(
            LogService(CachedLogReader(LogStore(reads)), feed), strict_server(server)
        )
        await add_standard_services(server, "Log", "Mint")
        address = bind(server, listen, "[mint] listen")
        stack.push_async_callback(logs.close)
        chores = asyncio.gather(
            feed.run(), logs.keep(), logs.check(), reload_on_change(known.stamp, lambda: _reload(known), RELOAD)
        )
        await server.start()
        _log.info("serving", address=address)
        try:
            yield Mint(address, chores)
        finally:
            await server.stop(GRACE)
            chores.cancel()
            await asyncio.gather(chores, return_exceptions=True)


async def _reload(tokens: Tokens) -> None:
    """The tokens again; what cannot be read leaves the old ones in force."""
    try:
        if tokens.reload():
            _log.info("tokens reloaded")
    except Misconfigured as error:
        _log.error("tokens not reloaded", detail=str(error))
