"""Reading a log: heads, tiles, bundles, edges. The same for the mint's database and for a read database.

Each method is one query. Rows only grow wider, so a reader that takes a head first finds everything below it, whatever
is committed meanwhile. Rows may hold more than the head: the reader cuts them to its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from psycopg.rows import class_row

from mintmark.errors import MintmarkError, NotAvailableYet, NotFound
from mintmark.store.connection.sql import load_sql
from mintmark.store.log.heads import HeadNotifier
from mintmark.store.log.model import Head, Log, TileAddress, TileKey
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mintmark.store.connection.pool import Pool

MAX_BUNDLES = 256  # of one query

SQL = load_sql(__package__, "log_store")
SELECT_LOGS = "select id, origin, name, kind, salted from log"


class LogStore:
    """Reads logs from one database. Raises Unavailable where the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.notifier = HeadNotifier(pool)
        self._logs: dict[str, Log] = {}  # a log's row never changes, except the kind of an empty one

    async def logs(self) -> list[Log]:
        """Every log in this database, by name."""
        async with self.pool.connection() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
            await cursor.execute(f"{SELECT_LOGS} order by name")
            logs = await cursor.fetchall()
        self._logs.update((log.origin, log) for log in logs)
        return logs

    async def log(self, origin: str) -> Log:
        """The log of this origin; raises NotFound where there is none."""
        log = self._logs.get(origin)
        if log is None and "\0" not in origin:  # no Postgres text holds a zero byte
            async with self.pool.connection() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
                await cursor.execute(f"{SELECT_LOGS} where origin = %(origin)s", {"origin": origin})
                log = await cursor.fetchone()
        if log is None:
            raise NotFound(f"no log {origin!r} here; ListLogs names those that are")
        self._logs[origin] = log
        return log

    async def head(self, log: int) -> Head:
        """The head of a log; raises NotAvailableYet before its first checkpoint."""
        rows = await self.pool.fetch("select size, root, note from head where log = %(log)s", {"log": log})
        if not rows:
            raise NotAvailableYet("this log has no checkpoint yet")
        return Head(*rows[0])

    async def heads(self, logs: Collection[int]) -> dict[int, Head]:
        """The heads by log id; a log without a head is left out."""
        query = "select log, size, root, note from head where log = any(%(logs)s)"
        return {log: Head(*head) for log, *head in await self.pool.fetch(query, {"logs": list(logs)})}

    async def tiles(self, log: int, keys: Collection[TileKey]) -> dict[TileKey, bytes]:
        """The hashes of tiles, as wide as they are stored. Raises MintmarkError if one is lost."""
        found = await self._tiles("tile", log, keys)
        if lost := set(keys) - found.keys():
            raise MintmarkError(f"tile {min(lost)} of log {log} is lost; run mintmark fsck")
        return found

    async def tiles_at(self, addresses: Sequence[TileAddress]) -> dict[int, bytes]:
        """Tiles of any logs by their positions in `addresses`, as wide as they are stored; a lost one is left out."""
        return await self._tiles_at("tile", addresses)

    async def bundles(self, log: int, first: int, stop: int, max_bytes: int) -> list[Bundle]:
        """Bundles [first, stop): as many as fit in `max_bytes`, at least one. Raises MintmarkError if one is lost."""
        stop = min(stop, first + MAX_BUNDLES)
        args = {"log": log, "first": first, "stop": stop, "max_bytes": max_bytes}
        found = [Bundle(*row) for row in await self.pool.fetch(SQL["bundles"], args)]
        if [b.index for b in found] != list(range(first, first + max(len(found), 1))):
            raise MintmarkError(f"a bundle of log {log} from {first} on is lost; run mintmark fsck")
        return found

    async def edge(self, log: int, size: int) -> Edge:
        """The right edge of the tree of `size`, which the stored tiles must cover."""
        return Edge.load(size, await self.tiles(log, tile.edge_keys(size)))

    async def leaf_index(self, log: int, leaf_hash: bytes, size: int) -> int:
        """The first index below `size` with this leaf hash. Raises NotFound: here no index of leaf hashes is kept."""
        raise NotFound("a mint keeps no index of leaf hashes; ask by index, or ask a mirror that keeps one")

    async def _tiles(self, table: str, log: int, keys: Collection[TileKey]) -> dict[TileKey, bytes]:
        ordered = list(keys)
        found = await self._tiles_at(table, [(log, *key) for key in ordered]) if ordered else {}
        return {ordered[at]: hashes for at, hashes in found.items()}

    async def _tiles_at(self, table: str, addresses: Sequence[TileAddress]) -> dict[int, bytes]:
        rows = [{"at": at, "log": log, "level": lv, "index": index} for at, (log, lv, index) in enumerate(addresses)]
        query = SQL["tiles"].format(table=table)
        return dict(await self.pool.fetch(query, {"addresses": orjson.dumps(rows).decode()}))
