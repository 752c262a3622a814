"""Damage to a read database, its check, and its repair from a world."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mintmark.client.mint_client import MintClient
from mintmark.fsck.check import check_log
from mintmark.fsck.findings import KeyedLog
from mintmark.fsck.repair import repair
from mintmark.store.fsck.transactions import reading
from tests.support.world import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.fsck.check import CheckResult
    from mintmark.fsck.repair import RepairResult
    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.world import World


async def checked(store: ReadStore, world: World, since: int = 0) -> CheckResult:
    async with reading(store.pool) as snapshot:
        (log,) = await snapshot.logs()
        return await check_log(snapshot, log, world.verifiers, since=since)


@asynccontextmanager
async def source(world: World) -> AsyncIterator[MintClient]:
    async with serve(world) as address, MintClient(address) as client:
        yield client


async def mended(store: ReadStore, world: World) -> RepairResult:
    """Repairs from the world, over gRPC."""
    async with source(world) as client:
        return await repair(store.pool, KeyedLog(await store.log(world.origin), world.verifiers), client)


async def damage(store: ReadStore, *statements: str) -> None:
    async with store.pool.connection() as conn:
        for statement in statements:
            done = await conn.execute(statement.encode())
            assert done.rowcount > 0, statement
