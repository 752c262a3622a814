"""Connection pools. Every connection is in autocommit mode: a transaction begins where the code says `conn.transaction()`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mintmark.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WAIT = 10.0  # seconds for a connection


class Pool(AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]):
    """A pool whose connections raise Unavailable where the database cannot be reached, or is lost midway."""

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
        """A connection for the time of the block."""
        try:
            async with super().connection(timeout) as conn:
                yield conn
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"the database cannot be reached: {str(error).strip() or type(error).__name__}") from error


def open_pool(conninfo: str, size: int) -> Pool:
    """A pool of at most `size` connections; open it with `async with`."""
    return Pool(conninfo, min_size=1, max_size=size, open=False, timeout=WAIT, kwargs={"autocommit": True})
