"""Evidence: contradictions of a log or of a source, kept until a human decides, and after.

A source that contradicted a log is distrusted for that log. A log that contradicted itself is stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Untrusted
from mintmark.store.connection.sql import load_sql
from mintmark.store.mirror.model import Evidence

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool

SQL = load_sql(__package__, "evidence")


class EvidenceStore:
    """The contradictions kept in one read database. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def contradict(self, log: int, error: Exception, source: str, *, stop: bool) -> None:
        """Keeps a contradiction, the same one once; with `stop`, stops the log."""
        notes = list(error.notes) if isinstance(error, Untrusted) else []
        reason = f"{type(error).__name__}: {error}"
        async with self._pool.connection() as conn, conn.transaction():
            values = {"log": log, "kind": type(error).__name__, "reason": str(error), "notes": notes, "source": source}
            await conn.execute(SQL["keep"], values)
            query = "update progress set error = %(error)s where log = %(log)s"
            await conn.execute(query, {"error": f"{source}: {reason}", "log": log})
            if stop:
                query = "update progress set stopped = %(reason)s, at = now() where log = %(log)s and stopped is null"
                await conn.execute(query, {"reason": reason, "log": log})

    async def of_log(self, log: int) -> list[Evidence]:
        """Every contradiction of a log, oldest first."""
        query = """select id, kind, reason, notes, source, at, resumed from evidence where log = %(log)s order by id"""
        return [Evidence(*row) for row in await self._pool.fetch(query, {"log": log})]

    async def distrusted(self, log: int) -> set[str]:
        """The sources that contradicted a log and about which nobody has decided yet."""
        query = "select distinct source from evidence where log = %(log)s and resumed is null"
        return {row[0] for row in await self._pool.fetch(query, {"log": log})}

    async def resume(self, log: int) -> bool:
        """Lets a log go on, with all its sources: a human decided. True if the log or a source was stopped."""
        return bool((await self._pool.fetch(SQL["resume"], {"log": log}))[0][0])

    async def note_at(self, log: int, size: int) -> bytes | None:
        """The note of the head of this size; None where no such head was accepted here."""
        query = "select note from checkpoint where log = %(log)s and size = %(size)s"
        rows = await self._pool.fetch(query, {"log": log, "size": size})
        return rows[0][0] if rows else None
