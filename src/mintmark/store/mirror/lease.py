"""Leases, and who shares them: the workers that live, by their heartbeats (`FreshnessStore.beat` writes them).

A lease is a row with an end, not a lock of a session: it holds behind a transaction pooler too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.store.connection.sql import load_sql
from mintmark.store.mirror.model import Heartbeat

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool

MIN_WAIT_SECONDS = 0.001  # for a lease that is another's, however soon it ends

SQL = load_sql(__package__, "lease")


class LeaseStore:
    """The leases and living workers of one read database. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, log: int, worker: str, seconds: float) -> float:
        """Takes or renews the lease on a log: 0. Where another worker has it, the seconds until it ends."""
        rows = await self._pool.fetch(SQL["claim"], {"log": log, "worker": worker, "seconds": seconds})
        wait: float | None = rows[0][0]
        return 0.0 if wait == 0 else max(wait or 0.0, MIN_WAIT_SECONDS)

    async def release(self, worker: str) -> None:
        """Gives back all leases of a worker."""
        await self._pool.execute("delete from lease where worker = %(worker)s", {"worker": worker})

    async def shares(self, worker: str, alive: float) -> tuple[int, int, int]:
        """(leases of this worker, of all workers, workers that heard a source in the last `alive` seconds)."""
        rows = await self._pool.fetch(SQL["shares"], {"worker": worker, "alive": alive})
        return rows[0][0], rows[0][1], rows[0][2]

    async def beats(self) -> list[Heartbeat]:
        """The heartbeats of the last minute, by worker and source."""
        query = """select worker, source, error, at, confirmed from heartbeat where at > now() - interval '1 minute'
            order by worker, source"""
        return [Heartbeat(*row) for row in await self._pool.fetch(query)]
