"""The mint's shell: the services `Mint` and `Log` over gRPC, its logs and its database.

It stops in order: no new call is taken, what is being committed is answered, the high-water marks are written, and then
the connections are closed.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import structlog

from mintmark.aio import reload_on_change, supervise
from mintmark.auth.interceptor import AuthInterceptor
from mintmark.auth.tokens import Tokens
from mintmark.errors import Misconfigured
from mintmark.mint.keys import KeyDirectory
from mintmark.mint.logs import Logs, SigningState
from mintmark.mint.pool import MAX_WAITING_ENTRIES, AppendPool
from mintmark.mint.sequencer import DATABASE_TIMEOUT_SECONDS
from mintmark.mint.service import MintService
from mintmark.rpc.confirmations import Confirmations
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.server import MINT_OPTIONS, add_standard_services, bind, strict_server
from mintmark.rpc.service import LogService
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.log.heads import HeadListener
from mintmark.store.log.log_store import LogStore
from mintmark.store.mint.mint_store import MintStore
from mintmark.telemetry import Gauges, Reading, event_sink, restart_teller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

COMMIT_CONNECTIONS, READ_CONNECTIONS = 8, 8
UNCONFIRMED_GAUGE, SERVING_GAUGE = "mintmark_mint_unconfirmed_logs", "mintmark_mint_serving"
GRACE_SECONDS = 2.0  # for the calls that are under way when it stops
RELOAD_INTERVAL_SECONDS = 2.0  # between looks at the tokens and the keys

_log = structlog.get_logger("mintmark.mint")
_gauges = Gauges(
    {
        UNCONFIRMED_GAUGE: "Logs that cannot be appended to",
        SERVING_GAUGE: "1 where appends can be committed to a log at least, else 0",
    }
)
_on_event = event_sink("mint")


async def serve_mint(database: str, listen: str, keys: Path, tokens: Path) -> None:
    """Serves until cancelled. Raises Misconfigured, Unavailable at the start; later troubles are logged."""
    async with running_mint(database, listen, keys, tokens) as mint:
        await mint.background


class RunningMint(NamedTuple):
    """A mint that serves: its HOST:PORT, and its work beside the calls, which does not end."""

    address: str
    background: asyncio.Future[Any]


@asynccontextmanager
async def running_mint(
    database: str,
    listen: str,
    keys: Path,
    tokens: Path,
    *,
    max_waiting_entries: int = MAX_WAITING_ENTRIES,
    database_timeout: float = DATABASE_TIMEOUT_SECONDS,
) -> AsyncIterator[RunningMint]:
    """A mint that serves for the time of the block."""
    directory, known_tokens = KeyDirectory(keys), Tokens(tokens)
    await migrate(database, "mint")
    async with open_pool(database, COMMIT_CONNECTIONS) as commits, open_pool(database, READ_CONNECTIONS) as reads:
        store = MintStore(commits)
        await store.check_durable()
        pool = AppendPool(max_waiting_entries)
        logs = Logs(store, pool, directory, on_event=_on_event, database_timeout=database_timeout)
        listener = HeadListener(reads, database)
        confirmations = Confirmations(partial(_look, listener, logs))
        reader = LogService(CachedLogReader(LogStore(reads), on_heads=logs.note_shown), listener, confirmations)
        server = _server(MintService(logs, known_tokens), reader, known_tokens)
        health = await add_standard_services(server, "Log", "Mint")
        address = bind(server, listen, "[mint] listen")
        confirm = partial(confirmations.run, health)
        background = _background(listener, logs, directory, known_tokens, confirm)
        with _gauges.read_by(partial(_read_gauges, confirmations)):
            async with _serving(server, background, logs):
                _log.info("serving", address=address)
                yield RunningMint(address, background)


def _read_gauges(confirmations: Confirmations) -> list[Reading]:
    last = confirmations.last
    serving = Reading(SERVING_GAUGE, float(last is not None and not last.heads.silent))
    return [serving] if last is None else [serving, Reading(UNCONFIRMED_GAUGE, len(last.heads.unconfirmed))]


async def _look(listener: HeadListener, logs: Logs) -> SigningState:
    """What the mint can say for its heads, once its streams were told of those that moved."""
    await listener.compare_sizes()
    return await logs.signing_state()


def _background(
    listener: HeadListener, logs: Logs, keys: KeyDirectory, tokens: Tokens, confirm: Callable[[], Awaitable[None]]
) -> asyncio.Future[Any]:
    """The tasks beside the calls. One that fails is told and begins anew; it ends neither the mint nor another."""
    return asyncio.gather(
        listener.run(restart_teller(_on_event, "heads")),
        supervise(logs.maintain, restart_teller(_on_event, "marks")),
        supervise(logs.open_all, restart_teller(_on_event, "check of the logs")),
        supervise(confirm, restart_teller(_on_event, "confirmations")),
        supervise(
            partial(_reload, tokens, keys, logs, (tokens.loaded, keys.stamp())), restart_teller(_on_event, "files")
        ),
    )


@asynccontextmanager
async def _serving(server: grpc.aio.Server, background: asyncio.Future[Any], logs: Logs) -> AsyncIterator[None]:
    """Serves for the time of the block, and stops in order: each step is made even where the one before it fails."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(logs.close)
        stack.push_async_callback(_cancel, background)
        stack.push_async_callback(server.stop, GRACE_SECONDS)
        await server.start()
        yield


async def _cancel(background: asyncio.Future[Any]) -> None:
    background.cancel()
    await asyncio.gather(background, return_exceptions=True)


def _server(mint: MintService, log: LogService, tokens: Tokens) -> grpc.aio.Server:
    server = grpc.aio.server(options=MINT_OPTIONS, interceptors=[AuthInterceptor(tokens)])
    log_pb2_grpc.add_MintServicer_to_server(mint, strict_server(server))
    log_pb2_grpc.add_LogServicer_to_server(log, strict_server(server))
    return server


async def _reload(tokens: Tokens, keys: KeyDirectory, logs: Logs, since: object) -> None:
    """Reads tokens and keys again when they change. A file that cannot be read leaves the old ones in force."""

    async def reload() -> bool:
        known = _reload_tokens(tokens)  # first: keys wait for the database
        return await logs.reload_keys() and known

    await reload_on_change(lambda: (tokens.stamp(), keys.stamp()), reload, RELOAD_INTERVAL_SECONDS, since)


def _reload_tokens(tokens: Tokens) -> bool:
    try:
        if tokens.reload():
            _log.info("tokens reloaded")
    except Misconfigured as error:
        _log.error("tokens not reloaded", detail=str(error))
        return False  # a token that was revoked must not stay in force because a read failed once
    return True
