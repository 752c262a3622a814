"""The status of the logs that are followed, from the read database alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from mintmark.store.connection.sql import load_sql
from mintmark.store.mirror.model import LogStatus

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool

SQL = load_sql(__package__, "status")


class StatusStore:
    """The status of every log in one read database. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of_logs(self) -> list[LogStatus]:
        """Every log that is followed here, by name."""
        async with self._pool.connection() as conn, conn.cursor(row_factory=class_row(LogStatus)) as cursor:
            await cursor.execute(SQL["status"])
            return await cursor.fetchall()

    async def trouble(self, origin: str, reason: str, offered: int) -> None:
        """Notes a passing trouble, and the size of the largest signed head that a source showed."""
        await self._pool.execute(SQL["trouble"], {"origin": origin, "reason": reason, "offered": offered})
