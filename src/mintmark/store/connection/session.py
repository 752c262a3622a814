"""Sessions with Postgres: every connection is made here, and means the same whatever surrounds it.

The server, a database, a role and the variables PG* of the environment may each decide how text is encoded, how a date
is written and which table a name stands for. A session decides that itself. Our tables stand in a schema of their own,
which is the whole search path: a table of the same name in another schema is never touched.

A pooler between us and Postgres (pgbouncer) may give each transaction another session. What is set for a session would
be lost there, or reach another client. So each transaction sets it for itself, also that of a single statement, in the
same round trip. Prepared statements and LISTEN, which only gain by a session, are used where it is `direct`.

A server that loses its power says nothing. The kernel would wait for it for a quarter of an hour, or for two hours
where it owes an answer, and no failover to another host would begin before. `with_timeouts` limits the wait to half
a minute.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

C = TypeVar("C", bound=psycopg.AsyncConnection[TupleRow])

DEFAULT_SCHEMA = "mintmark"
CLOSE_SECONDS = 1.0  # that a cancellation waits for a connection on its way, to close it
TIMEOUTS = {  # libpq's names; seconds, and milliseconds for the last
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
SETTINGS = {  # beside the search path, and the client's encoding, which libpq sets
    # Each of our statements probes an index, or walks along one. What is said here leaves the planner no other way, so
    # that statistics which have never seen a log cannot mislead it. A subquery `order by` the columns of an index is
    # read from that index alone, where sorting is no choice: a constant has no order, so there an equality is written
    # as a range, and checked outside.
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",  # which such settings would call for
    # What text and values are.
    "datestyle": "ISO, MDY",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
    "gin_fuzzy_search_limit": "0",  # else a search finds some of what it should
}

_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SEARCH_PATH = re.compile(r"(?:-c\s*|--)search_path=(\S*)\s*")
_PIN_SESSION = """select set_config(name, value, false)
    from unnest(%(names)s::text[], %(values)s::text[]) as s(name, value) where pg_backend_pid() = %(pid)s"""


class Connection(psycopg.AsyncConnection[TupleRow]):
    """A connection with our settings and our schema; `direct` if its session is ours alone."""

    schema = DEFAULT_SCHEMA
    direct = True

    @classmethod
    async def connect(cls, conninfo: str = "", *, autocommit: bool = False, **kwargs: Any) -> Self:
        """Connects. Raises Misconfigured where the string cannot be read; psycopg.OperationalError."""
        given, schema = take_schema(with_timeouts(conninfo))
        connecting = super().connect(given, autocommit=True, client_encoding="UTF8", **kwargs)
        conn = await _whole(asyncio.create_task(connecting))
        conn.schema = schema
        try:
            await conn._pin()
            await conn.set_autocommit(autocommit)
        except BaseException:
            await conn.close()
            raise
        return conn

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """A transaction, or a savepoint in one, for the time of the block."""
        outermost = self.info.transaction_status == TransactionStatus.IDLE
        async with super().transaction(savepoint_name, force_rollback) as transaction:
            if outermost and not self.direct:  # not by a SELECT: after it nobody may choose the isolation level
                pins = [sql.SQL("set local {} to {}").format(sql.Identifier(k), v) for k, v in self.pins().items()]
                await self.execute(sql.SQL("; ").join(pins))
            yield transaction

    def pins(self) -> dict[str, str]:
        """The settings of each session, by name."""
        return {**SETTINGS, "search_path": self.schema}

    async def _pin(self) -> None:
        """Sets the session; behind a pooler, which answers with another process id than the server, nothing."""
        pins = self.pins()
        args = {"names": list(pins), "values": list(pins.values()), "pid": self.info.backend_pid}
        self.direct = (await self.execute(_PIN_SESSION, args)).rowcount > 0
        if not self.direct:
            self.prepare_threshold = None
            self.cursor_factory = _PooledCursor


async def _whole(connecting: asyncio.Task[C]) -> C:
    """The connection, once it is made. One that is cancelled midway is closed.

    The driver would leave it to the garbage collector. The server waits for such a client for a minute, and meanwhile
    no database can be dropped.
    """
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_close)
        await asyncio.wait([connecting], timeout=CLOSE_SECONDS)
        raise


def _close(connecting: asyncio.Task[C]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()


class _PooledCursor(psycopg.AsyncCursor[TupleRow]):
    """A cursor whose statements set the session for their own transaction."""

    async def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> Self:
        """Executes a statement."""
        conn = self.connection
        if not isinstance(conn, Connection) or conn.info.transaction_status != TransactionStatus.IDLE:
            return await super().execute(query, params, prepare=prepare, binary=binary)
        async with conn.pipeline():  # what is sent in one go is one transaction
            pins = [sql.SQL("set_config({}, {}, true)").format(name, value) for name, value in conn.pins().items()]
            await psycopg.AsyncCursor(conn).execute(sql.SQL("select {}").format(sql.SQL(", ").join(pins)))
            return await super().execute(query, params, prepare=prepare, binary=binary)


def with_timeouts(conninfo: str) -> str:
    """The connection string with the TIMEOUTS that it does not set itself. Raises Misconfigured where it is none."""
    given = _read(conninfo)
    return make_conninfo(conninfo, **{key: value for key, value in TIMEOUTS.items() if key not in given})


def with_schema(conninfo: str, schema: str) -> str:
    """The connection string that names our schema, as `options=-csearch_path=NAME`. Raises Misconfigured."""
    options = _SEARCH_PATH.sub("", str(_read(conninfo).get("options") or ""))
    return make_conninfo(conninfo, options=f"{options} -csearch_path={_checked(schema)}".strip())


def take_schema(conninfo: str) -> tuple[str, str]:
    """The connection string without its search path, which poolers refuse, and our schema. Raises Misconfigured."""
    options = str(_read(conninfo).get("options") or "")
    if (found := _SEARCH_PATH.search(options)) is None:
        return conninfo, DEFAULT_SCHEMA
    rest = _SEARCH_PATH.sub("", options).strip()
    return make_conninfo(conninfo, options=rest), _checked(found[1])


def _checked(schema: str) -> str:
    if not _SCHEMA.fullmatch(schema):
        raise Misconfigured(
            f"{schema!r} cannot be the schema of our tables: it is one name of a-z, 0-9 and _, not of Postgres (pg_…); "
            "mend database_schema, or search_path in the connection string"
        )
    return schema


def _read(conninfo: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        reason = str(error).strip() if "connection option" in str(error) else "it is none"  # others quote a password
        raise Misconfigured(
            f"the database's connection string cannot be read: {reason}; write host=… dbname=… or postgresql://…"
        ) from None
