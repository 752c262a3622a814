"""What a long catch-up leaves behind is set in order: pending lists of GIN indexes are merged, tables are analysed.

Postgres does both by itself, minutes later. Until then each search reads all that is pending. It takes seconds, so it
runs beside the catch-ups, in transactions of its own, and nothing waits for it. Where it may not, it is left to
Postgres.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import psycopg

from mintmark.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool

SETTLE_INTERVAL_SECONDS = 60.0  # at least, between two of a process
STATEMENTS = (
    "select gin_clean_pending_list('entry_value')",
    "select gin_clean_pending_list('entry_word')",
    "analyze (skip_locked) entry, bundle, tile, v1_tile",  # tables that are another's are passed over, with a warning
)


class Settler:
    """Settles one read database, once for any number of catch-ups that end meanwhile."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._due = False
        self._next = 0.0  # (monotonic) time before which it does not run
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Settles, soon."""
        self._due = True
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """Waits until everything is settled, without the interval: the process ends."""
        if self._task is not None:
            self._hurry.set()
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            while self._due:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._next - monotonic())):
                        await self._hurry.wait()
                self._due = False
                await self._settle()
                self._next = monotonic() + SETTLE_INTERVAL_SECONDS
        finally:
            self._task = None

    async def _settle(self) -> None:
        for statement in STATEMENTS:
            with suppress(Unavailable, Misconfigured, psycopg.Error):
                await self._pool.execute(statement)
