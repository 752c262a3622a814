"""Telling other processes that heads moved: by NOTIFY, in transactions of its own.

Postgres lets one transaction that notifies commit at a time, its flush to disk included. Within the transactions that
move heads that would be a hundred commits a second for all logs together, instead of as many as can share a flush. A
notice that is lost with its process costs its listeners the time of a slow poll.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from mintmark.errors import Unavailable

if TYPE_CHECKING:
    from mintmark.store.log.log_store import Pool

CHANNEL = "mintmark_head"
# Nothing is written that anybody waits for on disk.
NOTIFY = f"""
    select set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', log::text)
    from unnest(%s::int[]) as log"""  # noqa: S608


class HeadNotifier:
    """The notices of one database. Those that come while one is sent go together."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._moved: set[int] = set()
        self._sending: asyncio.Task[None] | None = None

    def tell(self, log: int) -> None:
        """Tells, soon, that a log's head moved."""
        self._moved.add(log)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def told(self) -> None:
        """Waits until all is sent."""
        if self._sending is not None:
            await asyncio.shield(self._sending)

    async def _send(self) -> None:
        try:
            while self._moved:
                moved, self._moved = list(self._moved), set()
                with suppress(Unavailable, psycopg.Error):
                    async with self._pool.connection() as conn:
                        await conn.execute(NOTIFY, (moved,))
        finally:
            self._sending = None
