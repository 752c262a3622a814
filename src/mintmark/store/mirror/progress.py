"""A read database as its mirror sees it: the logs that it follows, and how far each is verified.

Crash order: only `commit_batch` writes rows of a log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import errors as pg
from psycopg.rows import class_row

from mintmark.errors import Misconfigured, NotFound
from mintmark.store.connection.sql import load_sql
from mintmark.store.log.log_store import LogStore
from mintmark.store.mirror.model import Progress
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from mintmark.formats import LogKind
    from mintmark.store.log.model import TileKey

SQL = load_sql(__package__, "progress")


class ProgressStore(LogStore):
    """Reads the logs of one read database, and how far they are verified.

    Raises Unavailable where the database cannot be reached.
    """

    async def follow(self, origin: str, kind: LogKind) -> Progress:
        """The progress of a log, begun if it is new. Raises Misconfigured where a log of another origin has its name.

        `kind` is what a source says; a log with entries is of their kind.
        """
        if (found := await self._progress(origin)) is not None:
            return found if found.size else replace(found, kind=kind)
        name = short_name(origin)
        try:
            await self.pool.execute(SQL["follow"], {"origin": origin, "name": name, "kind": kind})
        except pg.UniqueViolation:  # of the name: by another log, or by this one, begun at the same moment
            if (found := await self._progress(origin)) is None:
                reason = f"another log here is named {name!r}; exclude one of them"
                raise Misconfigured(f"{origin} cannot be followed: {reason}") from None
            return found
        return await self.progress(origin)

    async def progress(self, origin: str) -> Progress:
        """How far a log is verified; raises NotFound where it is not followed."""
        if (found := await self._progress(origin)) is None:
            raise NotFound(f"{origin} is not followed here")
        return found

    async def _progress(self, origin: str) -> Progress | None:
        async with self.pool.connection() as conn, conn.cursor(binary=True, row_factory=class_row(Progress)) as cursor:
            await cursor.execute(SQL["progress"], {"origin": origin})
            return await cursor.fetchone()

    async def projected(self, log: int, size: int) -> tuple[int, int]:
        """(user entries, standing records) of a register's first `size` entries, all of which are projected."""
        if size == 0:
            return 0, 0
        query = "select number, live from entry where log = %(log)s and index = %(index)s"
        rows = await self.pool.fetch(query, {"log": log, "index": size - 1})
        return rows[0][0], rows[0][1]

    async def v1_tiles(self, log: int, keys: Collection[TileKey]) -> dict[TileKey, bytes]:
        """Tiles of the tree over the user entries in their v1 form."""
        return await self._tiles("v1_tile", log, keys)

    async def leaf_index(self, log: int, leaf_hash: bytes, size: int) -> int:
        """The first index below `size` with this leaf hash.

        Raises NotFound where there is none, and where no index is kept: a request must not read a whole log.
        """
        if not (await self.pool.fetch("select to_regclass('entry_leaf') is not null"))[0][0]:
            raise NotFound(
                "this server keeps no index of leaf hashes; ask by index, or have its operator make one: "
                "create index entry_leaf on entry (log, leaf_hash)"
            )
        rows = await self.pool.fetch(SQL["leaf_index"], {"log": log, "leaf_hash": leaf_hash, "size": size})
        index: int | None = rows[0][0]
        if index is None:
            raise NotFound(f"no entry with leaf hash {leaf_hash.hex()} below {size}")
        return index
