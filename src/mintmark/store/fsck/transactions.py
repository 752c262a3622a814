"""The transactions of `fsck`. Each store reads one moment, so that a commit meanwhile is never taken for damage.

reading      a snapshot, on two connections
writing      one transaction, which keeps the writers of a log out
rebuilding   both
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from psycopg import sql

from mintmark.store.fsck.fsck_store import FsckStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from mintmark.store.connection.pool import Connection, Pool


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[FsckStore]:
    """A store that reads one moment. Takes two connections of the pool."""
    async with _transactions(pool, 2) as readers:
        yield await _frozen(readers)


@asynccontextmanager
async def writing(pool: Pool, log: int) -> AsyncIterator[FsckStore]:
    """A store in a transaction that keeps all other writers of a log out; durable when the block ends well."""
    async with _transactions(pool, 1) as writers:
        yield await _locked(writers, log)


@asynccontextmanager
async def rebuilding(pool: Pool, log: int) -> AsyncIterator[tuple[FsckStore, FsckStore]]:
    """A store as of `writing`, and one as of `reading` that reads the moment when the log was locked.

    Takes three connections of the pool, before the lock: those who wait for the log may hold all the others.
    """
    async with _transactions(pool, 3) as connections:
        writer = await _locked(connections[:1], log)
        yield writer, await _frozen(connections[1:])


@asynccontextmanager
async def _transactions(pool: Pool, count: int) -> AsyncIterator[list[Connection]]:
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(count):
            connections.append(await stack.enter_async_context(pool.connection()))
            await stack.enter_async_context(connections[-1].transaction())
        yield connections


async def _frozen(connections: Sequence[Connection]) -> FsckStore:
    """A store of transactions that all read the present moment."""
    snapshot = ""
    for conn in connections:
        await conn.execute("set transaction isolation level repeatable read, read only")
        if snapshot:
            await conn.execute(sql.SQL("set transaction snapshot {}").format(snapshot))
        elif row := await (await conn.execute("select pg_export_snapshot()")).fetchone():
            snapshot = row[0]
    return FsckStore(connections)


async def _locked(connections: Sequence[Connection], log: int) -> FsckStore:
    """A store of one transaction, which keeps the writers of a log out.

    Every transaction that writes rows below the verified size updates one of these rows first, in this order.
    """
    store = FsckStore(connections)
    for table in ("progress", "head") if await store.mirrored() else ("head",):
        query = f"select from {table} where log = %(log)s for update"
        await connections[0].execute(query.encode(), {"log": log})
    return store
