"""Pools of connections to Postgres, all in autocommit mode: a transaction begins at `conn.transaction()`."""

from __future__ import annotations

import asyncio
import logging
import select
from contextlib import aclosing, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mintmark.errors import Misconfigured, Unavailable
from mintmark.store.connection.session import Connection as Connection  # its users' name for it
from mintmark.store.connection.session import take_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import LiteralString

Cursor = psycopg.AsyncCursor[TupleRow]

STREAMED_ROWS = 100 if psycopg.pq.version() >= 170_000 else 1  # that libpq receives at once, where not all are wanted
POOL_TIMEOUT_SECONDS = 10.0  # for a connection
GIVEN_UP = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)  # by the server, on a statement
# A pool that cannot connect tries again after 1 and 2 seconds; then it gives that attempt up and begins the next. Its
# own waits would double for five minutes, and so would the time without service after an outage.
RECONNECT_SECONDS = 4.0
REPEATED_LINE_SECONDS = 60.0  # until a pool logs the same line again


class Pool(AsyncConnectionPool[Connection]):
    """A pool whose connections raise Unavailable where the database cannot be reached, or is lost midway."""

    async def fetch(self, query: LiteralString, args: Mapping[str, Any] | None = None) -> list[TupleRow]:
        """The rows of one query, in Postgres' binary format."""
        async with self.connection() as conn, conn.cursor(binary=True) as cursor:
            await cursor.execute(query, args)
            return await cursor.fetchall()

    async def fetch_bytes(
        self, query: LiteralString, args: Mapping[str, Any] | None, max_bytes: int
    ) -> tuple[list[TupleRow], bool]:
        """The rows of one query until they hold `max_bytes`, and True if there are more. The rest is not received."""
        async with self.connection() as conn, conn.cursor(binary=True) as cursor:
            return await stream_rows(cursor, query, args, max_bytes)

    async def execute(self, query: LiteralString, args: Mapping[str, Any] | None = None) -> None:
        """Runs one statement."""
        async with self.connection() as conn:
            await conn.execute(query, args)

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109  # theirs
        """A connection for the time of the block.

        A cancellation that comes together with an answer is lost in `asyncio.wait_for` of Python 3.11, which returns
        the answer alone: it is raised at the end of the block.
        """
        before = pending_cancellations()
        try:
            async with super().connection(timeout) as conn:
                yield conn
                if pending_cancellations() > before:
                    raise asyncio.CancelledError
        except psycopg.errors.DiskFull as error:
            reason = error.diag.message_primary
            raise Unavailable(
                f"the database's disk is full ({reason}); make room, and it goes on by itself",
                "the database's disk is full",
            ) from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise Unavailable(
                "the database takes no writes: it is a standby, or set so; name every host in the connection string, "
                "with target_session_attrs=read-write"
            ) from error
        except psycopg.errors.UndefinedTable as error:
            raise Misconfigured(
                f"the database lacks tables of this version ({error.diag.message_primary}); "
                "start mintmark mint or mirror on it once"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise refused(error) from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise unreachable(error, str(self.conninfo)) from error


async def stream_rows(
    cursor: Cursor, query: LiteralString, args: Mapping[str, Any] | None, max_bytes: int
) -> tuple[list[TupleRow], bool]:
    """The rows of a query until their texts hold `max_bytes`, and True if there are more."""
    rows: list[TupleRow] = []
    held = 0
    async with aclosing(cursor.stream(query, args, binary=True, size=STREAMED_ROWS)) as stream:  # type: ignore[type-var]
        async for row in stream:
            if held > max_bytes:
                return rows, True
            rows.append(row)
            held += sum([len(value) for value in row if isinstance(value, str | bytes)])
    return rows, False


def pending_cancellations() -> int:
    """The number of pending_cancellations of the running task that have not ended it yet."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def refused(error: psycopg.errors.InsufficientPrivilege) -> Misconfigured:
    """The error of a user that lacks a right in the database."""
    reason = error.diag.message_primary
    return Misconfigured(f"the database refuses this user: {reason}; grant it, or connect as the owner")


def unreachable(error: Exception, conninfo: str) -> Unavailable:
    """The error of a connection that failed, or of a statement that the server broke off; in one line.

    It names the database: Postgres' own words may have no more than an address, which several databases share.
    """
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, GIVEN_UP):
        advice = "raise statement_timeout or lock_timeout of this user, or wait until the server has less to do"
        return Unavailable(f"the database gave up on a statement: {reason}; {advice}", "the database gave up")
    name = conninfo_to_dict(conninfo).get("dbname", "that is named like its user")
    return Unavailable(f"the database cannot be reached: {reason} (database {name})", "the database cannot be reached")


def open_pool(conninfo: str, size: int, timeout: float = POOL_TIMEOUT_SECONDS) -> Pool:
    """A pool of at most `size` connections; open it with `async with`. `timeout`: seconds to wait for one of them.

    Raises Misconfigured where `conninfo` is no connection string.
    """
    take_schema(conninfo)  # what cannot be read is told now, not tried again and again
    return Pool(
        conninfo,
        min_size=1,
        max_size=size,
        open=False,
        timeout=timeout,
        connection_class=Connection,
        reconnect_timeout=RECONNECT_SECONDS,
        reconnect_failed=_begin_anew,
        kwargs={"autocommit": True},
        check=_check,
    )


class _RepeatFilter(logging.Filter):
    """Passes a line once in REPEATED_LINE_SECONDS: only the pool logs why it cannot connect, but at each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True if the line did not pass lately."""
        now, line = monotonic(), record.getMessage()
        self._passed = {old: at for old, at in self._passed.items() if now - at < REPEATED_LINE_SECONDS}
        return self._passed.setdefault(line, now) == now


logging.getLogger("psycopg.pool").addFilter(_RepeatFilter())


async def _begin_anew(pool: AsyncConnectionPool[Any]) -> None:
    """Has a pool without a connection try again at once: those who wait for one do not make it try."""
    await pool.check()


async def _check(conn: Connection) -> None:
    """Raises where the server is gone. An idle connection has nothing to read: a query tests only one that has."""
    waiting = select.poll()
    waiting.register(conn.fileno(), select.POLLIN)
    if waiting.poll(0):
        await AsyncConnectionPool.check_connection(conn)
