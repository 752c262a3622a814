"""Reading a log: heads, tiles, bundles, edges. The same for the mint's database and a read database.

Every method is one query. Rows only ever grow wider, so a reader that took a head first finds all that it covers,
whatever commits meanwhile; rows may hold more than the head, and whoever reads cuts them to the size it speaks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from psycopg.rows import TupleRow, class_row

from mintmark.errors import MintmarkError, NotAvailableYet, NotFound
from mintmark.store.log.head_notifier import HeadNotifier
from mintmark.store.log.model import Head, Log, TileKey
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from mintmark.store.log.tile_cache import Address

    Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

LOGS = "select id, origin, name, kind, salted from log"
HEAD = "select size, root, note from head where log = %s"
HEADS = "select log, size, root, note from head where log = any(%s)"
# Of many logs, each by the index of tiles, whatever the planner thinks of so many. They come as one JSON text: psycopg
# takes longer to print arrays than Postgres to answer.
TILES_AT = """
    select k.at, t.hashes from jsonb_to_recordset(%(asked)s::jsonb) as k(at int, log int, level int, index bigint)
    cross join lateral (select hashes from {table} t where t.log = k.log and t.level = k.level and t.index = k.index
                        limit 1) as t"""
# The window sums lengths alone: bundles past the limit are never read from disk. It sums all that it is shown.
AT_ONCE = 256  # bundles
BUNDLES = """
    select index, width, entries, items from (
        select index, width, entries, items,
               sum(octet_length(entries) + octet_length(items)) over (order by index) as upto
        from bundle where log = %(log)s and index >= %(first)s and index < %(stop)s) as b
    where upto <= %(most)s or index = %(first)s order by index"""


class LogStore:
    """Reads logs from one database. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.notices = HeadNotifier(pool)
        self._logs: dict[str, Log] = {}  # but for the kind of one that is empty, a log's row never changes

    async def logs(self) -> list[Log]:
        """Every log here, by name."""
        async with self.pool.connection() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
            await cursor.execute(f"{LOGS} order by name")
            logs = await cursor.fetchall()
        self._logs.update((log.origin, log) for log in logs)
        return logs

    async def log(self, origin: str) -> Log:
        """The log of this origin; raises NotFound where there is none."""
        log = self._logs.get(origin)
        if log is None and "\0" not in origin:  # which no Postgres text holds
            async with self.pool.connection() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
                await cursor.execute(f"{LOGS} where origin = %s", (origin,))
                log = await cursor.fetchone()
        if log is None:
            raise NotFound(f"no log {origin!r} here; ListLogs names those that are")
        self._logs[origin] = log
        return log

    async def head(self, log: int) -> Head:
        """The head of a log; raises NotAvailableYet before its first checkpoint."""
        rows = await self._fetch(HEAD, (log,))
        if not rows:
            raise NotAvailableYet("this log has no checkpoint yet")
        return Head(*rows[0])

    async def heads(self, logs: Collection[int]) -> dict[int, Head]:
        """The heads of those logs that have one, by log id."""
        return {log: Head(*head) for log, *head in await self._fetch(HEADS, (list(logs),))}

    async def tiles(self, log: int, keys: Collection[TileKey]) -> dict[TileKey, bytes]:
        """The hashes of these tiles, as wide as they are stored. Raises MintmarkError if one is lost."""
        found = await self._tiles("tile", log, keys)
        if lost := set(keys) - found.keys():
            raise MintmarkError(f"tile {min(lost)} of log {log} is lost; run mintmark fsck")
        return found

    async def tiles_at(self, addresses: Sequence[Address]) -> dict[int, bytes]:
        """Tiles of any logs, by their places in `addresses`, as wide as they are stored; none for one that is lost."""
        return await self._tiles_at("tile", addresses)

    async def bundles(self, log: int, first: int, stop: int, most: int) -> list[Bundle]:
        """Bundles [first, stop): as many as fit in `most` bytes, one at least. Raises MintmarkError if one is lost."""
        stop = min(stop, first + AT_ONCE)
        rows = await self._fetch(BUNDLES, {"log": log, "first": first, "stop": stop, "most": most})
        found = [Bundle(*row) for row in rows]
        if [b.index for b in found] != list(range(first, first + max(len(found), 1))):
            raise MintmarkError(f"a bundle of log {log} from {first} on is lost; run mintmark fsck")
        return found

    async def edge(self, log: int, size: int) -> Edge:
        """The right edge of the tree of `size`, which the stored tiles must cover."""
        return Edge.load(size, await self.tiles(log, tile.edge_keys(size)))

    async def leaf_index(self, log: int, leaf_hash: bytes, size: int) -> int:
        """The first index below `size` of a leaf hash. Raises NotFound where it is not, or where no index is kept."""
        raise NotFound("a mint keeps no index of leaf hashes; ask by index, or ask a mirror that keeps one")

    async def _tiles(self, table: str, log: int, keys: Collection[TileKey]) -> dict[TileKey, bytes]:
        asked = list(keys)
        found = await self._tiles_at(table, [(log, *key) for key in asked]) if asked else {}
        return {asked[at]: hashes for at, hashes in found.items()}

    async def _tiles_at(self, table: str, addresses: Sequence[Address]) -> dict[int, bytes]:
        asked = [{"at": at, "log": log, "level": lv, "index": index} for at, (log, lv, index) in enumerate(addresses)]
        return dict(await self._fetch(TILES_AT.format(table=table), {"asked": orjson.dumps(asked).decode()}))

    async def _fetch(self, query: str, args: Sequence[Any] | Mapping[str, Any]) -> list[TupleRow]:
        async with self.pool.connection() as conn, conn.cursor(binary=True) as cursor:
            await cursor.execute(query, args)
            return await cursor.fetchall()
