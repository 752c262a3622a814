"""Mirrors for the tests: a log that is being mirrored, and a copy that is being served."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from mintmark.errors import NotAvailableYet
from mintmark.mirror.catch_up import CatchUp
from mintmark.mirror.log_task import STEP_SECONDS
from mintmark.mirror.run_once import once
from mintmark.mirror.worker import Worker
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.rpc.confirmations import Confirmations
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.server import SERVER_OPTIONS
from mintmark.rpc.service import LogService
from mintmark.sources.grpc import GrpcSource
from mintmark.sources.guarded import ANSWER_SECONDS
from mintmark.sources.source import Announcement, Confirmation
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.log.heads import HeadListener
from mintmark.tlog.note import generate_skey
from tests.support.world import World, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from mintmark.mirror.run_once import LogResult
    from mintmark.sources.source import Source
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.mirror.read_store import ReadStore

TABLES = ("log", "head", "tile", "bundle", "progress", "checkpoint", "entry", "missing", "v1_tile")


class LiveWorld(World):
    """A world whose stream stays open, shows each head as it is signed, and confirms it."""

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement | Confirmation]:
        shown = b""
        while True:
            if shown != (shown := self.shown()[-1]):
                yield Announcement(self.origin, shown, self.kind)
            yield Confirmation(0.0)
            await asyncio.sleep(0.02)


def add_records(world: World, count: int, keys: int = 50) -> None:
    """Appends so many entries to a register's world, which has so many keys."""
    numbers = range(world.size, world.size + count)
    items = [b'{"number":"%d","thing":"%d"}' % (number, number % keys) for number in numbers]
    entries = [
        Entry(str(number % keys), "2026-01-01T00:00:00Z", "user", item_hash(item))
        for number, item in zip(numbers, items, strict=True)
    ]
    world.append([format_entry(entry) for entry in entries], items)


def register(origin: str = "world.example/thing", count: int = 300) -> LiveWorld:
    """A register's world."""
    world = LiveWorld(origin, "register", generate_skey(origin), address=f"{origin}:1")
    add_records(world, count)
    return world


def mirror_config(directory: Path, database: str, sources: Sequence[str], *worlds: World) -> Path:
    """The configuration of a mirror of these worlds."""
    trust = directory / "trust"
    trust.mkdir(exist_ok=True)
    for world in worlds:
        (trust / f"{world.origin.rpartition('/')[2]}.vkey").write_text(f"{world.signer.vkey}\n")
    config = directory / "mintmark.toml"
    values = {"database": database, "sources": list(sources), "trust": str(trust)}
    config.write_text("[mirror]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return config


def follower(store: ReadStore, world: World) -> CatchUp:
    """A mirror's step for this world's log."""
    return CatchUp(store, world.origin, world.verifiers)


async def mirror(store: ReadStore, world: World, source: Source | None = None) -> None:
    """Follows the world to its newest head, from itself or from another source."""
    assert await follower(store, world).step(source or world, world.notes[-1], world.kind)


def worker(
    store: ReadStore,
    sources: Sequence[Source],
    *worlds: World,
    name: str = "one",
    on_event: Callable[[str, str, str], None] = lambda *_: None,
    answer_seconds: float = ANSWER_SECONDS,
    step_seconds: float = STEP_SECONDS,
    fresh_for: float = 60.0,
) -> Worker:
    """A worker that follows these worlds' logs. A source's word holds long enough for a command of a busy machine."""
    trust = {world.origin: world.verifiers for world in worlds}
    return Worker(
        name, store, sources, trust,
        on_event=on_event, answer_seconds=answer_seconds, step_seconds=step_seconds, fresh_for=fresh_for,
    )  # fmt: skip


async def run_once(
    store: ReadStore, sources: Sequence[Source], world: World, seconds: float = 5, step_seconds: float = STEP_SECONDS
) -> LogResult:
    """The result that a run which ends has for this world's log."""
    (reached,) = await once(worker(store, sources, world, step_seconds=step_seconds), seconds)
    return reached


async def until_shown(store: ReadStore, *worlds: World, seconds: float = 40) -> None:
    """Waits until each log's head in the database is its world's."""
    wanted = {world.origin: world.size for world in worlds}
    async with asyncio.timeout(seconds):
        while {status.origin: status.head for status in await store.status.of_logs()} != wanted:  # noqa: ASYNC110  # a database
            await asyncio.sleep(0.05)


async def rows(store: LogStore, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in these tables, or in all that hold a log and what is known of it."""
    found = {}
    async with store.pool.connection() as conn:
        for table in tables or TABLES:
            found[table] = await (await conn.execute(f"select * from {table} order by 1, 2, 3")).fetchall()
    return found


async def _nothing() -> NoReturn:
    raise NotAvailableYet("nobody looks")


@asynccontextmanager
async def served(store: LogStore) -> AsyncIterator[GrpcSource]:
    """The logs in a database as a source, over real gRPC. It confirms nothing."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    heads = HeadListener(store.pool, store.pool.conninfo)
    service = LogService(CachedLogReader(store), heads, Confirmations(_nothing))
    log_pb2_grpc.add_LogServicer_to_server(service, server)
    async with started(server) as address, GrpcSource(address) as source:
        yield source
