"""Connections. Every one is in autocommit mode: a transaction begins where the code says `conn.transaction()`.

Between us and Postgres may stand a pooler that gives each transaction another session (pgbouncer). Nothing here rests
on session state; what merely gains by it, prepared statements and LISTEN, is used where a connection is `direct`.

A server that loses its power says nothing, and the kernel would wait for it for a quarter of an hour, or for two hours
where it owes an answer: no failover to another host begins before. So connections are `settled` to half a minute.
"""

from __future__ import annotations

import asyncio
import logging
import select
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mintmark.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Connection = psycopg.AsyncConnection[TupleRow]
Cursor = psycopg.AsyncCursor[TupleRow]

WAIT = 10.0  # seconds for a connection
AGAIN = 60.0  # seconds until a pool repeats itself
GONE = {  # libpq's names; seconds, and milliseconds
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


class Pool(AsyncConnectionPool[Connection]):
    """A pool whose connections raise Unavailable where the database cannot be reached, or is lost midway."""

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109  # theirs
        """A connection for the time of the block.

        A cancellation that came with an answer is lost on its way here (Python 3.11's `wait_for`, which drivers wait
        with, gives the answer alone): it is raised at the end of the block.
        """
        before = cancellations()
        try:
            async with super().connection(timeout) as conn:
                yield conn
                if cancellations() > before:
                    raise asyncio.CancelledError
        except psycopg.errors.DiskFull as error:
            reason = error.diag.message_primary
            raise Unavailable(f"the database's disk is full ({reason}); make room, and it goes on by itself") from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise Unavailable(
                "the database takes no writes: it is a standby, or set so; name every host in the connection string, "
                "with target_session_attrs=read-write"
            ) from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise unreachable(error) from error


def cancellations() -> int:
    """How often the running task was told to end, and has not yet."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def unreachable(error: Exception) -> Unavailable:
    """What became of a connection, in one line."""
    return Unavailable(f"the database cannot be reached: {' '.join(str(error).split()) or type(error).__name__}")


def settled(conninfo: str) -> str:
    """The connection string with limits to how long a server is waited for that is gone, where it sets none.

    Raises Misconfigured for what is no connection string.
    """
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        reason = str(error).strip() if "connection option" in str(error) else "it is none"  # others quote a password
        raise Misconfigured(
            f"the database's connection string cannot be read: {reason}; write host=… dbname=… or postgresql://…"
        ) from None
    return make_conninfo(conninfo, **{key: value for key, value in GONE.items() if key not in given})


def open_pool(conninfo: str, size: int) -> Pool:
    """A pool of at most `size` connections; open it with `async with`."""
    return Pool(
        settled(conninfo),
        min_size=1,
        max_size=size,
        open=False,
        timeout=WAIT,
        kwargs={"autocommit": True},
        configure=_configure,
        check=_check,
    )


class _Seldom(logging.Filter):
    """Lets a line pass once in AGAIN seconds: a pool alone says why it cannot connect, but at each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is new."""
        now, line = monotonic(), record.getMessage()
        self._said = {said: at for said, at in self._said.items() if now - at < AGAIN}
        return self._said.setdefault(line, now) == now


logging.getLogger("psycopg.pool").addFilter(_Seldom())


async def direct(conn: Connection) -> bool:
    """Whether the session is ours alone: a pooler answers with another process id than the server itself."""
    row = await (await conn.execute("select pg_backend_pid()")).fetchone()
    return row is not None and row[0] == conn.info.backend_pid


async def _configure(conn: Connection) -> None:
    if not await direct(conn):
        conn.prepare_threshold = None


async def _check(conn: Connection) -> None:
    """Raises where the server has gone. An idle one has nothing to say: only a connection that has is asked."""
    waiting = select.poll()
    waiting.register(conn.fileno(), select.POLLIN)
    if waiting.poll(0):
        await AsyncConnectionPool.check_connection(conn)
