"""Which heads moved: pushed by NOTIFY on a direct connection, found by a slow poll where there is none.

A feed tells *that* a log moved, never where to: its users read the head themselves, so a lost or repeated notice, or
one of a commit that another server made, costs at most the time of one poll.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from mintmark.errors import Unavailable
from mintmark.store.connection.pool import cancellations, direct, settled
from mintmark.store.log.head_notifier import CHANNEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from mintmark.store.log.log_store import Pool

SIZES = "select log, size from head"
POLL, POLL_ALONE = 5.0, 0.5  # seconds: beside notices, and without them


class Subscription:
    """The logs that moved since it was last asked."""

    def __init__(self) -> None:
        self._moved: set[int] = set()
        self._event = asyncio.Event()

    def add(self, logs: Iterable[int]) -> None:
        """Notes that these logs moved, and wakes the waiter."""
        self._moved.update(logs)
        if self._moved:
            self._event.set()

    async def moved(self) -> set[int]:
        """Waits for the next moves; gives the ids of the logs."""
        await self._event.wait()
        self._event.clear()
        moved, self._moved = self._moved, set()
        return moved


class HeadListener:
    """One listener a process, any number of subscriptions."""

    def __init__(self, pool: Pool, conninfo: str) -> None:
        self._pool, self._conninfo = pool, conninfo
        self._sizes: dict[int, int] = {}
        self._subscriptions: set[Subscription] = set()
        self._listening = False

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """A subscription, from now on."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def poke(self, *logs: int) -> None:
        """Tells of commits that this process made itself."""
        for subscription in self._subscriptions:
            subscription.add(logs)

    async def run(self) -> None:
        """Listens and polls until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._poll())

    async def _listen(self) -> None:
        while not cancellations():
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(settled(self._conninfo), autocommit=True) as conn:
                    if not await direct(conn):
                        return  # behind a pooler notices would reach whoever has the session next
                    await conn.execute(f"listen {CHANNEL}")
                    self._listening = True
                    await self._look()  # what was said before we listened
                    while not cancellations():  # one may be lost in the driver
                        async for notice in conn.notifies(timeout=POLL):
                            if notice.payload.isdecimal():
                                self.poke(int(notice.payload))
            self._listening = False
            await asyncio.sleep(1)

    async def _poll(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(POLL if self._listening else POLL_ALONE)

    async def _look(self) -> None:
        with suppress(Unavailable, psycopg.OperationalError):
            async with self._pool.connection() as conn:
                sizes: dict[int, int] = dict(await (await conn.execute(SIZES)).fetchall())
            self.poke(*(log for log, size in sizes.items() if self._sizes.get(log) != size))
            self._sizes = sizes
