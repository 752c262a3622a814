"""The reads of `fsck`, of either kind of database: rows as they are, with nothing believed of them.

A row that is lost, narrow or of no log is an answer here, not an error, unlike in the other stores. `transactions`
makes the store, which reads one moment.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import class_row

from mintmark.store.connection.sql import load_sql
from mintmark.store.log.model import Log
from mintmark.store.mirror import commit
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from typing import LiteralString

    from psycopg.rows import TupleRow

    from mintmark.register.reduce import RegisterRows
    from mintmark.store.connection.pool import Connection
    from mintmark.store.fsck.repairs import Fix
    from mintmark.store.log.model import TileKey

COPY_HEADER_BYTES, COPY_TRAILER_BYTES = 19, 2  # of a binary COPY

SQL = load_sql(__package__, "fsck_store")


class StoredTile(NamedTuple):
    """A tile as it is stored; its width need not be that of its hashes."""

    width: int
    hashes: bytes


class FsckStore:
    """Reads everything of one database. Raises Unavailable where it cannot be reached."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for conn in connections:
            self._free.put_nowait(conn)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that nobody uses for the time of the block."""
        conn = await self._free.get()
        try:
            yield conn
        finally:
            self._free.put_nowait(conn)

    async def mirrored(self) -> bool:
        """True if it is a read database."""
        return bool((await self._fetch("select to_regclass('progress') is not null"))[0][0])

    async def fix(self, fixes: Sequence[Fix]) -> None:
        """Writes right rows in the place of damaged ones."""
        async with self.connection() as conn:
            for fix in fixes:
                await conn.execute(fix.query.encode(), fix.args)

    async def clear_rows(self, log: int, first_entry: int) -> None:
        """Deletes the projection of a log, except the rows of the entries before `first_entry`."""
        async with self.connection() as conn:
            for table, first in (("entry", first_entry), ("missing", 0), ("v1_tile", 0)):
                query = f"delete from {table} where log = %(log)s and (index < 0 or index >= %(first)s)"  # noqa: S608
                await conn.execute(query.encode(), {"log": log, "first": first})

    async def put_leaves(self, log: int, start: int, hashes: bytes) -> None:
        """Writes the rows of an opaque log from `start` on, in the place of the stored ones."""
        query = "delete from entry where log = %(log)s and index >= %(start)s and index < %(end)s"
        async with self.connection() as conn:
            await conn.execute(query, {"log": log, "start": start, "end": start + len(hashes) // HASH_BYTES})
            await commit.copy_leaves(conn, log, [(start, hashes)])

    async def put_rows(self, log: int, rows: RegisterRows, live: int) -> int:
        """Writes the next rows of a register, before which `live` records stand; how many stand after them."""
        async with self.connection() as conn:
            return await commit.put_register_rows(conn, log, rows, live)

    async def logs(self) -> list[Log]:
        """Every log, by name."""
        async with self.connection() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
            await cursor.execute("select id, origin, name, kind, salted from log order by name")
            return await cursor.fetchall()

    async def log(self, log: int) -> Log:
        """A log by its id, which exists."""
        return next(found for found in await self.logs() if found.id == log)

    async def heads(self, log: int) -> list[TupleRow]:
        """(size, root, note) of the head; no row where it is lost."""
        return await self._fetch("select size, root, note from head where log = %(log)s", {"log": log})

    async def shown(self, log: int) -> int:
        """The size of the head, as it is stored; 0 where there is none."""
        return sum(row[0] for row in await self.heads(log))

    async def progress(self, log: int) -> list[TupleRow]:
        """(verified size, pending note, its size) in a read database; no row where it is lost."""
        return await self._fetch("select size, note, pending from progress where log = %(log)s", {"log": log})

    async def checkpoints(self, log: int, start: int) -> list[TupleRow]:
        """(size, note) of the accepted heads from size `start` on, and of those with an impossible size."""
        return await self._fetch(SQL["checkpoints"], {"log": log, "start": start})

    async def evidence(self, log: int) -> list[TupleRow]:
        """(id, kind, notes) of the contradictions."""
        return await self._fetch("select id, kind, notes from evidence where log = %(log)s order by id", {"log": log})

    async def bundles_with_items(self, log: int) -> tuple[int, int]:
        """How many of a log's first bundles have items, and how many bundles these are."""
        rows = await self._fetch(SQL["bundles_with_items"], {"log": log})
        return rows[0][0], rows[0][1]

    async def ends(self, log: int, *, mirrored: bool) -> list[int]:
        """The numbers of entries that the last bundle, the last tile and the last row of a log tell."""
        bundle = "select index, width from bundle where log = %(log)s order by index desc limit 1"
        tile = "select index, width from tile where log = %(log)s and level = 0 order by index desc limit 1"
        entry = "select index, 1 from entry where log = %(log)s order by index desc limit 1"
        queries = [(bundle, TILE_WIDTH), (tile, TILE_WIDTH), *([(entry, 1)] if mirrored else [])]
        return [
            index * step + width for query, step in queries for index, width in await self._fetch(query, {"log": log})
        ]

    async def bundles(self, log: int, first: int, stop: int, max_bytes: int) -> list[Bundle]:
        """The stored bundles of [first, stop), as many as fit in `max_bytes` but at least one."""
        args = {"log": log, "first": first, "stop": stop, "max_bytes": max_bytes}
        async with self.connection() as conn, conn.cursor() as cursor, cursor.copy(SQL["bundles"], args) as copy:
            copy.set_types(["int8", "int2", "bytea", "bytea"])
            return [Bundle(*row) async for row in copy.rows()]

    async def tiles(self, table: str, log: int, keys: Collection[TileKey]) -> dict[TileKey, StoredTile]:
        """The stored ones of these tiles."""
        args = {"log": log, "levels": [level for level, _ in keys], "indices": [index for _, index in keys]}
        rows = await self._fetch(SQL["tiles"].format(table=table), args)
        return {(level, index): StoredTile(width, hashes) for level, index, width, hashes in rows}

    async def stray_tiles(self, table: str, log: int, counts: Sequence[int]) -> list[TileKey]:
        """The tiles beyond those of a tree that has `counts[level]` of them."""
        rows = await self._fetch(SQL["stray_tiles"].format(table=table), {"log": log, "counts": list(counts)})
        return [(level, index) for level, index in rows]

    async def stray_rows(self, table: str, log: int, count: int) -> list[int]:
        """The indices beyond [0, count)."""
        query = f"select index from {table} where log = %(log)s and (index < 0 or index >= %(count)s) order by index"  # noqa: S608
        return [row[0] for row in await self._fetch(query, {"log": log, "count": count})]

    async def stray_logs(self, table: str) -> list[int]:
        """The ids of logs that rows of a table name and that do not exist."""
        return [row[0] for row in await self._fetch(SQL["stray_logs"].format(table=table))]

    async def leaves(self, log: int, start: int, end: int) -> bytes | None:
        """The leaf hashes of an opaque log's rows [start, end); None where the rows are not exactly these."""
        hashes, whole = (await self._fetch(SQL["leaves"], {"log": log, "start": start, "end": end}))[0]
        return hashes if whole else None

    async def entries(self, log: int, start: int, end: int) -> bytes:
        """The rows of [start, end) as a binary COPY, without header and trailer and without items."""
        parts = []
        args = {"log": log, "start": start, "end": end}
        async with self.connection() as conn, conn.cursor() as cursor, cursor.copy(SQL["entries"], args) as copy:
            async for part in copy:
                parts.append(bytes(part))  # noqa: PERF401  # psycopg's iterator is not one of bytes
        return b"".join(parts)[COPY_HEADER_BYTES:-COPY_TRAILER_BYTES]

    async def items(self, log: int, start: int, end: int) -> dict[int, str]:
        """The stored items of [start, end), as Postgres prints them."""
        query = """select index, item::text from entry
            where log = %(log)s and index >= %(start)s and index < %(end)s and item is not null order by index"""
        return dict(await self._fetch(query, {"log": log, "start": start, "end": end}))

    async def counts(self, log: int, index: int) -> tuple[int, int] | None:
        """(user entries, standing records) at a row of a register; None where the row is lost or lacks them."""
        query = "select number, live from entry where log = %(log)s and index = %(index)s"
        rows = await self._fetch(query, {"log": log, "index": index})
        return (rows[0][0], rows[0][1]) if rows and None not in rows[0] else None

    async def prior(
        self, log: int, keys: Collection[tuple[str, str]], start: int, bad: Sequence[int]
    ) -> list[TupleRow]:
        """(type, key, index, stood, superseded_by) of the last entry of each key before `start`, except `bad` rows."""
        types, names = [type_ for type_, _ in keys], [key for _, key in keys]
        return await self._fetch(SQL["prior"], {"log": log, "types": types, "keys": names, "start": start, "bad": bad})

    async def wrongly_superseded(self, log: int) -> list[TupleRow]:
        """(index, superseded_by, type, key) of rows superseded by no later entry of their key."""
        return await self._fetch(SQL["wrongly_superseded"], {"log": log})

    async def missing(self, log: int, start: int, indices: Sequence[int]) -> dict[int, int | None]:
        """The items noted as missing from index `start` on and at `indices`: index -> the entry that erased it."""
        return dict(await self._fetch(SQL["missing"], {"log": log, "start": start, "indices": indices}))

    async def senders(self, log: int, indices: Sequence[int]) -> dict[int, str | None]:
        """Who sent the entries at these indices without their items, as far as it is known."""
        query = "select index, source from missing where log = %(log)s and index = any(%(indices)s)"
        return dict(await self._fetch(query, {"log": log, "indices": list(indices)}))

    async def definitions(self, log: int) -> dict[str, tuple[int, bytes]]:
        """The definitions of a mint's register: key -> (index, item)."""
        rows = await self._fetch("select key, index, item from definition where log = %(log)s", {"log": log})
        return {key: (index, item) for key, index, item in rows}

    async def clocks(self, log: int) -> dict[str, str]:
        """The clocks of a mint's register: type -> timestamp."""
        return dict(await self._fetch("select type, timestamp from clock where log = %(log)s", {"log": log}))

    async def requests(self, log: int) -> list[TupleRow]:
        """(id, digest, first, count) of a mint's requests, by first entry."""
        query = "select id, digest, first, count from request where log = %(log)s order by first, id"
        return await self._fetch(query, {"log": log})

    async def _fetch(self, query: LiteralString, args: Mapping[str, Any] | None = None) -> list[TupleRow]:
        async with self.connection() as conn, conn.cursor(binary=True) as cursor:
            await cursor.execute(query.encode(), args)
            return await cursor.fetchall()
