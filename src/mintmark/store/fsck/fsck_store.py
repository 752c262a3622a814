"""What `fsck` reads, of either kind of database: rows as they are, with nothing believed of them.

Unlike the other stores, a row that is lost, narrow or of nowhere is an answer here, not an error. All that one store
reads is of one moment, so that what commits meanwhile is never taken for damage: `reading` holds a snapshot on two
connections, `writing` keeps a log's writers out.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql
from psycopg.rows import class_row

from mintmark.store.log.model import Log
from mintmark.store.mirror import commit
from mintmark.tlog.kernel import HASH
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from psycopg.rows import TupleRow

    from mintmark.register.reduce import RegisterRows
    from mintmark.store.connection.pool import Connection, Pool
    from mintmark.store.fsck.repair_sql import Fix
    from mintmark.store.log.model import TileKey

FROZEN = "set transaction isolation level repeatable read, read only"
SNAPSHOT = "select pg_export_snapshot()"
# Every transaction that writes rows below the verified size moves one of these first, in this order.
LOCKS = {True: ("progress", "head"), False: ("head",)}  # by whether it is a read database
LOCK = "select from {table} where log = %s for update"
CLEAR = "delete from {table} where log = %s and (index < 0 or index >= %s)"
CLEAR_LEAVES = "delete from entry where log = %s and index >= %s and index < %s"
MIRRORED = "select to_regclass('progress') is not null"
LOGS = "select id, origin, name, kind, salted from log order by name"
# By COPY: of values as long as these, it takes half of what a SELECT does.
BUNDLES = """
    copy (select index, width, entries, items from bundle
          where log = %(log)s and index >= %(first)s and index < %(stop)s order by index
          limit greatest(1, (
              select count(*) from (
                  select sum(octet_length(entries) + octet_length(items)) over (order by index) as upto
                  from bundle where log = %(log)s and index >= %(first)s and index < %(stop)s) as b
              where upto <= %(most)s)))
    to stdout (format binary)"""
BUNDLE_TYPES = ("int8", "int2", "bytea", "bytea")
# How many of the first bundles have items, and how many there are.
WITH_ITEMS = """
    select count(*) filter (where octet_length(items) > 0), count(*)
    from (select items from bundle where log = %s order by index limit 64) as b"""
# Where the rows end, each table asked by itself.
BUNDLES_END = "select index, width from bundle where log = %s order by index desc limit 1"
TILES_END = "select index, width from tile where log = %s and level = 0 order by index desc limit 1"
ENTRIES_END = "select index, 1 from entry where log = %s order by index desc limit 1"
TILES = """
    select level, index, width, hashes
    from {table} join unnest(%s::smallint[], %s::bigint[]) as k(level, index) using (level, index) where log = %s"""
# Tiles that no tree has that is this wide at each level.
STRAY_TILES = """
    select level, index from {table} left join unnest(%s::bigint[]) with ordinality as k(count, at) on at = level + 1
    where log = %s and not coalesce(index >= 0 and index < count, false) order by level, index"""
STRAY_ROWS = "select index from {table} where log = %s and (index < 0 or index >= %s) order by index"
# The logs that a table has rows of, found without reading the rows, and that are none.
STRAY_LOGS = """
    with recursive seen as (
        select min(log) as log from {table}
        union all select (select min(log) from {table} where log > seen.log) from seen where seen.log is not null)
    select log from seen where log is not null and not exists (select from log where id = seen.log)"""
HEAD = "select size, root, note from head where log = %s"
PROGRESS = "select size, note, pending from progress where log = %s"
CHECKPOINTS = "select size, note from checkpoint where log = %s and (size < 0 or size >= %s) order by size"
EVIDENCE = "select id, kind, notes from evidence where log = %s order by id"
# The leaf hashes of [start, end) one after another, and whether those rows are all there, and bare: an opaque log's.
LEAVES = """
    select string_agg(leaf_hash, ''::bytea), count(*) = %(end)s - %(start)s
        and bool_and(num_nonnulls(type, key, timestamp, item_hash, item, superseded_by, number, live) = 0)
    from (select * from entry where log = %(log)s and index >= %(start)s and index < %(end)s order by index) as e"""
# All but the item, and what supersedes an entry only as far as `end`: what is behind is not known yet.
ENTRIES = """
    copy (select log, index, leaf_hash, type, key, timestamp, item_hash, null::jsonb,
                 case when superseded_by < %(end)s then superseded_by end, number, live
          from entry where log = %(log)s and index >= %(start)s and index < %(end)s order by index)
    to stdout (format binary)"""
ITEMS = """
    select index, item::text from entry
    where log = %s and index >= %s and index < %s and item is not null order by index"""
PRIOR = """
    select k.type, k.key, p.index, p.item_hash is not null, p.superseded_by
    from unnest(%(types)s::text[], %(keys)s::text[]) as k(type, key)
    cross join lateral (select index, item_hash, superseded_by from entry
                        where log = %(log)s and type = k.type and key = k.key and index >= 0 and index < %(start)s
                        and not index = any(%(bad)s::bigint[]) order by index desc limit 1) as p"""
STALE = """
    select index, superseded_by, type, key from entry e where log = %s and superseded_by is not null and not exists (
        select from entry n where n.log = e.log and n.index = e.superseded_by and n.type = e.type and n.key = e.key
        and n.index > e.index)
    order by index"""
COUNTS = "select number, live from entry where log = %s and index = %s"
MISSING = """
    select index, by from missing
    where log = %(log)s and (index < 0 or index >= %(start)s or index = any(%(indices)s::bigint[]))"""
DEFINITIONS = "select key, index, item from definition where log = %s"
CLOCKS = "select type, timestamp from clock where log = %s"
REQUESTS = "select id, digest, first, count from request where log = %s order by first, id"


class StoredTile(NamedTuple):
    """A tile as it is stored; nothing says that the width is that of the hashes."""

    width: int
    hashes: bytes


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[FsckStore]:
    """A store that reads a moment; the pool gives two connections."""
    async with _transactions(pool, 2) as readers:
        yield await _frozen(readers)


@asynccontextmanager
async def writing(pool: Pool, log: int) -> AsyncIterator[FsckStore]:
    """A store in a transaction that nobody else writes this log beside; durable when the block ends well."""
    async with _transactions(pool, 1) as writers:
        yield await _locked(writers, log)


@asynccontextmanager
async def rebuilding(pool: Pool, log: int) -> AsyncIterator[tuple[FsckStore, FsckStore]]:
    """A store as of `writing`, and one as of `reading` that reads what stood when the log was locked.

    The pool gives three connections, before the lock: who waits for the log may hold all that are left.
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
    """A store of transactions that read one moment: the present one."""
    snapshot = ""
    for conn in connections:
        await conn.execute(FROZEN)
        if snapshot:
            await conn.execute(sql.SQL("set transaction snapshot {}").format(snapshot))
        elif row := await (await conn.execute(SNAPSHOT)).fetchone():
            snapshot = row[0]
    return FsckStore(connections)


async def _locked(connections: Sequence[Connection], log: int) -> FsckStore:
    """A store of one transaction, which keeps a log's writers out."""
    store = FsckStore(connections)
    for table in LOCKS[await store.mirrored()]:
        await connections[0].execute(LOCK.format(table=table).encode(), (log,))
    return store


class FsckStore:
    """Reads everything of one database. Raises Unavailable where it cannot be reached."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for conn in connections:
            self._free.put_nowait(conn)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One that nobody uses."""
        conn = await self._free.get()
        try:
            yield conn
        finally:
            self._free.put_nowait(conn)

    async def mirrored(self) -> bool:
        """Whether it is a read database."""
        return bool((await self.fetch(MIRRORED))[0][0])

    async def fix(self, fixes: Sequence[Fix]) -> None:
        """Writes right rows in the place of damaged ones."""
        async with self.connection() as conn:
            for fix in fixes:
                await conn.execute(fix.query.encode(), fix.args)

    async def clear_rows(self, log: int, kept: int) -> None:
        """Takes the projection of a log away, but for the rows of its first `kept` entries."""
        async with self.connection() as conn:
            for table, first in (("entry", kept), ("missing", 0), ("v1_tile", 0)):
                await conn.execute(CLEAR.format(table=table).encode(), (log, first))

    async def put_leaves(self, log: int, start: int, hashes: bytes) -> None:
        """Writes the rows of an opaque log from `start` on, in the place of those that are there."""
        end = start + len(hashes) // HASH
        async with self.connection() as conn:
            await conn.execute(CLEAR_LEAVES, (log, start, end))
            await commit.copy_leaves(conn, log, [(start, hashes)])

    async def put_rows(self, log: int, rows: RegisterRows, live: int) -> int:
        """Writes rows of a register, which follow those that are there, where `live` stand; how many stand then."""
        async with self.connection() as conn:
            return await commit.put_register_rows(conn, log, rows, live)

    async def logs(self) -> list[Log]:
        """Every log, by name."""
        async with self.connection() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
            await cursor.execute(LOGS)
            return await cursor.fetchall()

    async def log(self, log: int) -> Log:
        """A log by its id, which is there."""
        return next(found for found in await self.logs() if found.id == log)

    async def shown(self, log: int) -> int:
        """The size of the head, as it is stored; 0 where there is none."""
        return sum(row[0] for row in await self.fetch(HEAD, (log,)))

    async def bundles(self, log: int, first: int, stop: int, most: int) -> list[Bundle]:
        """The bundles of [first, stop) that are there, as many as fit in `most` bytes but at least one."""
        values = {"log": log, "first": first, "stop": stop, "most": most}
        async with self.connection() as conn, conn.cursor() as cursor, cursor.copy(BUNDLES, values) as copy:
            copy.set_types(BUNDLE_TYPES)
            return [Bundle(*row) async for row in copy.rows()]

    async def tiles(self, table: str, log: int, keys: Collection[TileKey]) -> dict[TileKey, StoredTile]:
        """Those of these tiles that are there."""
        query = TILES.format(table=table)
        rows = await self.fetch(query, ([level for level, _ in keys], [index for _, index in keys], log))
        return {(level, index): StoredTile(width, hashes) for level, index, width, hashes in rows}

    async def stray_tiles(self, table: str, log: int, counts: Sequence[int]) -> list[TileKey]:
        """The tiles beyond those of a tree that has `counts[level]` of them."""
        return [(row[0], row[1]) for row in await self.fetch(STRAY_TILES.format(table=table), (list(counts), log))]

    async def stray_rows(self, table: str, log: int, count: int) -> list[int]:
        """The indices beyond [0, count)."""
        return [row[0] for row in await self.fetch(STRAY_ROWS.format(table=table), (log, count))]

    async def stray_logs(self, table: str) -> list[int]:
        """The ids that rows of a table name and that no log has."""
        return [row[0] for row in await self.fetch(STRAY_LOGS.format(table=table))]

    async def leaves(self, log: int, start: int, end: int) -> bytes | None:
        """The leaf hashes of an opaque log's rows [start, end); None where they are not just these."""
        hashes, whole = (await self.fetch(LEAVES, {"log": log, "start": start, "end": end}))[0]
        return hashes if whole else None

    async def entries(self, log: int, start: int, end: int) -> bytes:
        """The rows of [start, end) as a binary COPY, without header and trailer (see ENTRIES)."""
        parts = []
        values = {"log": log, "start": start, "end": end}
        async with self.connection() as conn, conn.cursor() as cursor, cursor.copy(ENTRIES, values) as copy:
            async for part in copy:
                parts.append(bytes(part))  # noqa: PERF401  # psycopg's iterator is not one of bytes
        return b"".join(parts)[19:-2]

    async def items(self, log: int, start: int, end: int) -> dict[int, str]:
        """The items of [start, end) that are there, as Postgres prints them."""
        return dict(await self.fetch(ITEMS, (log, start, end)))

    async def prior(
        self, log: int, keys: Collection[tuple[str, str]], start: int, bad: Sequence[int]
    ) -> list[TupleRow]:
        """(type, key, index, stood, superseded_by) of the last entry of each key before `start`, but for `bad` rows."""
        types, names = [type_ for type_, _ in keys], [key for _, key in keys]
        return await self.fetch(PRIOR, {"log": log, "types": types, "keys": names, "start": start, "bad": bad})

    async def fetch(self, query: str, args: Sequence[Any] | Mapping[str, Any] = ()) -> list[TupleRow]:
        """The rows of a query of this module."""
        async with self.connection() as conn, conn.cursor(binary=True) as cursor:
            await cursor.execute(query.encode(), args)
            return await cursor.fetchall()
