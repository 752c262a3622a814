"""Connections. Every one is in autocommit mode: a transaction begins where the code says `conn.transaction()`.

Between us and Postgres may stand a pooler that gives each transaction another session (pgbouncer). Nothing here rests
on session state; what merely gains by it, prepared statements and LISTEN, is used where a connection is `direct`.
"""

from __future__ import annotations

import select
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mintmark.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Connection = psycopg.AsyncConnection[TupleRow]

WAIT = 10.0  # seconds for a connection


class Pool(AsyncConnectionPool[Connection]):
    """A pool whose connections raise Unavailable where the database cannot be reached, or is lost midway."""

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109  # theirs
        """A connection for the time of the block."""
        try:
            async with super().connection(timeout) as conn:
                yield conn
        except psycopg.errors.DiskFull as error:
            reason = error.diag.message_primary
            raise Unavailable(f"the database's disk is full ({reason}); make room, and it goes on by itself") from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            reason = str(error).strip() or type(error).__name__
            raise Unavailable(f"the database cannot be reached: {reason}") from error


def open_pool(conninfo: str, size: int) -> Pool:
    """A pool of at most `size` connections; open it with `async with`."""
    return Pool(
        conninfo,
        min_size=1,
        max_size=size,
        open=False,
        timeout=WAIT,
        kwargs={"autocommit": True},
        configure=_configure,
        check=_check,
    )


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
