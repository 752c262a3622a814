"""Notices that heads moved: sent by NOTIFY, received on a direct connection, and replaced by a slow poll elsewhere.

A notice says *that* a head moved, never where to: the receiver reads the head. So a lost or repeated notice costs at
most the time of one poll.

Postgres commits one notifying transaction at a time, its flush to disk included. NOTIFY within the transactions that
move heads would allow a hundred commits a second for all logs together, instead of as many as can share a flush. So
notices have transactions of their own, for which nobody waits.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from mintmark.aio import supervise
from mintmark.errors import Unavailable
from mintmark.store.connection.pool import Connection, pending_cancellations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from mintmark.store.connection.pool import Pool

CHANNEL = "mintmark_head"
POLL_INTERVAL_SECONDS = 5.0  # beside notices
POLL_INTERVAL_ALONE_SECONDS = 0.5  # without them
RECONNECT_SECONDS = 1.0
STANDBY_SECONDS = 30.0  # between looks at a standby, which refuses LISTEN: it may be promoted


class HeadNotifier:
    """Sends the notices of one database. Those that come while one is sent go together."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._moved: set[int] = set()
        self._sending: asyncio.Task[None] | None = None

    def notify(self, log: int) -> None:
        """Sends, soon, the notice that a log's head moved."""
        self._moved.add(log)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def flush(self) -> None:
        """Waits until every notice is sent."""
        if self._sending is not None:
            await asyncio.shield(self._sending)

    async def _send(self) -> None:
        # Nobody waits for these transactions to reach the disk.
        query = f"""select set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', log::text)
            from unnest(%(logs)s::int[]) as log"""  # noqa: S608
        try:
            while self._moved:
                moved, self._moved = list(self._moved), set()
                with suppress(Unavailable, psycopg.Error):
                    await self._pool.execute(query, {"logs": moved})
        finally:
            self._sending = None


class Subscription:
    """The logs whose heads moved since the last call of `moved`."""

    def __init__(self) -> None:
        self._moved: set[int] = set()
        self._event = asyncio.Event()

    def add(self, logs: Iterable[int]) -> None:
        """Notes that the heads of these logs moved, and wakes the waiter."""
        self._moved.update(logs)
        if self._moved:
            self._event.set()

    @property
    def waiting(self) -> bool:
        """True if a log has moved since the last call of `moved`."""
        return bool(self._moved)

    async def moved(self) -> set[int]:
        """Waits for the next moves; returns the ids of the logs."""
        await self._event.wait()
        self._event.clear()
        moved, self._moved = self._moved, set()
        return moved


class HeadListener:
    """Receives notices: one listener a process, any number of subscriptions."""

    def __init__(self, pool: Pool, conninfo: str, poll_interval: float = POLL_INTERVAL_SECONDS) -> None:
        self._pool, self._conninfo, self._poll_interval = pool, conninfo, poll_interval
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
        """Tells every subscription that the heads of these logs moved, as after a commit of this process."""
        for subscription in self._subscriptions:
            subscription.add(logs)

    async def run(self, tell: Callable[[BaseException], None] = lambda _: None) -> None:
        """Listens and polls until cancelled. Neither ends the other; `tell` hears why one had to begin anew."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise(self._listen, tell))
            tasks.create_task(supervise(self._poll, tell))

    async def _listen(self) -> None:
        while not pending_cancellations():
            pause = RECONNECT_SECONDS
            try:
                async with await Connection.connect(self._conninfo, autocommit=True) as conn:
                    if not conn.direct:
                        return  # behind a pooler a notice would reach whoever has the session next
                    await self._hear(conn)
            except psycopg.errors.ReadOnlySqlTransaction:
                pause = STANDBY_SECONDS
            except psycopg.OperationalError:
                pass  # the server is away; polling tells whoever reads
            await asyncio.sleep(pause)

    async def _hear(self, conn: Connection) -> None:
        await conn.execute(f"listen {CHANNEL}")
        self._listening = True
        try:
            await self._poll_sizes()  # the moves before we listened
            while not pending_cancellations():  # a cancellation may be lost in the driver
                async for notice in conn.notifies(timeout=self._poll_interval):
                    if notice.payload.isdecimal():
                        self.poke(int(notice.payload))
        finally:
            self._listening = False

    async def _poll(self) -> None:
        while True:
            await self._poll_sizes()
            alone = min(self._poll_interval, POLL_INTERVAL_ALONE_SECONDS)
            await asyncio.sleep(self._poll_interval if self._listening else alone)

    async def _poll_sizes(self) -> None:
        with suppress(Unavailable, psycopg.OperationalError):
            await self.compare_sizes()

    async def compare_sizes(self) -> None:
        """Reads the size of every head, and pokes for those that changed. Raises Unavailable."""
        sizes: dict[int, int] = dict(await self._pool.fetch("select log, size from head"))
        self.poke(*(log for log, size in sizes.items() if self._sizes.get(log) != size))
        self._sizes = sizes
