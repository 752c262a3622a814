"""What many incidents happen to: a log being mirrored, and a copy being served."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from mintmark.mirror.follow import Follower
from mintmark.mirror.once import once
from mintmark.mirror.worker import KINDS, Worker
from mintmark.rpc import limits
from mintmark.rpc.client import Client
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.service import LogService
from mintmark.store.feed import HeadFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mintmark.mirror.once import Reached
    from mintmark.mirror.source import Source
    from mintmark.store.log_store import LogStore
    from mintmark.store.read_store import ReadStore
    from tests.world import World

TABLES = ("log", "head", "tile", "bundle", "progress", "checkpoint", "entry", "missing", "v1_tile")


def follower(store: ReadStore, world: World) -> Follower:
    """A mirror's step for this world's log."""
    return Follower(store, world.origin, world.verifiers)


async def mirror(store: ReadStore, world: World, source: Source | None = None) -> None:
    """Follows the world to its newest head, from itself or from another source."""
    assert await follower(store, world).step(source or world, world.notes[-1], KINDS[world.kind])


def worker(
    store: ReadStore, sources: Sequence[Source], *worlds: World, tell: Callable[[str, str, str], None] = lambda *_: None
) -> Worker:
    """A worker that follows these worlds' logs."""
    return Worker("one", store, sources, {world.origin: world.verifiers for world in worlds}, tell=tell)


async def run_once(store: ReadStore, sources: Sequence[Source], world: World, seconds: float = 5) -> Reached:
    """What a run that ends says of this world's log."""
    (reached,) = await once(worker(store, sources, world), seconds)
    return reached


async def rows(store: LogStore, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in these tables, or in all that hold a log and what is known of it."""
    found = {}
    async with store.pool.connection() as conn:
        for table in tables or TABLES:
            found[table] = await (await conn.execute(f"select * from {table} order by 1, 2, 3")).fetchall()
    return found


@asynccontextmanager
async def served(store: LogStore) -> AsyncIterator[Client]:
    """A client of the logs in a database, over real gRPC."""
    server = grpc.aio.server(options=limits.SERVER_OPTIONS)
    log_pb2_grpc.add_LogServicer_to_server(LogService(store, HeadFeed(store.pool, store.pool.conninfo)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with Client(f"127.0.0.1:{port}") as client:
            yield client
    finally:
        await server.stop(None)
