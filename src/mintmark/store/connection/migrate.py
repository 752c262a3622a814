"""The schema of a database: brought to this version by migrations.

A migration is a file migrations/<component>/NNN.sql. Each is applied once, all in one transaction. A schema is the
mint's or a read database's, never both: logs are in the same tables there, written by different rules.

Our tables stand in a schema of their own (`session`), beside whatever else the database holds. Versions before 2 of
`log` stood in `public`: where the table of versions there is ours, that migration moves them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Literal

import psycopg
from psycopg import errors as pg
from psycopg import sql

from mintmark.errors import Misconfigured
from mintmark.store.connection.pool import Connection, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    Load = Callable[[str], Mapping[int, str]]

Component = Literal["mint", "read"]

COMPONENTS: dict[Component, tuple[str, ...]] = {"mint": ("log", "mint"), "read": ("log", "read")}
OTHER_COMPONENT: dict[Component, Component] = {"mint": "read", "read": "mint"}
SERVERS: dict[Component, str] = {"mint": "mint", "read": "mirror"}
MIGRATION_LOCK = 7239541  # the advisory lock of those who migrate
VERSION_COLUMNS = ["component", "version", "at"]  # of our table of versions; other programs have one too
OWN_SCHEMA_VERSION = 2  # of `log`: since then our tables stand in a schema of their own


def load_migrations(component: str) -> Mapping[int, str]:
    """The statements of a component by version: "log", "mint" or "read"."""
    directory = resources.files(__package__).joinpath("migrations", component)
    return {int(file.name[:3]): file.read_text() for file in directory.iterdir() if file.name.endswith(".sql")}


async def migrate(conninfo: str, kind: Component, load: Load = load_migrations) -> None:
    """Brings a database to this version's schema; where it is there already, nothing is locked or written.

    Raises Misconfigured for a newer schema, a database of the other kind or that cannot hold every text, or a user
    without the right; Unavailable.
    """
    applied = "insert into schema_version (component, version) values (%(component)s, %(version)s)"
    try:
        async with _connected(conninfo) as conn:
            if await _missing(conn, kind, load):
                await _begin(conn)
                for component, version in await _missing(conn, kind, load):  # another may have been faster
                    await conn.execute(load(component)[version].encode())
                    await conn.execute(applied, {"component": component, "version": version})
    except (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction) as error:
        raise Misconfigured(
            f"the database's schema cannot be made: {str(error).strip()}; connect as the database's owner"
        ) from error


async def check(conninfo: str, kind: Component) -> None:
    """Checks the schema without a write: raises as `migrate` does, and Misconfigured where a migration is missing."""
    try:
        async with _connected(conninfo) as conn:
            if await _missing(conn, kind, load_migrations):
                raise Misconfigured(
                    f"the {kind} database lacks tables of this version; start mintmark {SERVERS[kind]} on it once"
                )
    except pg.InsufficientPrivilege as error:
        raise Misconfigured(
            f"the database may not be read: {error.diag.message_primary}; grant this user usage on the schema "
            f"{conn.schema}, and select on all tables in it"
        ) from error


@asynccontextmanager
async def _connected(conninfo: str) -> AsyncIterator[Connection]:
    try:
        async with await Connection.connect(conninfo) as conn:
            row = await (await conn.execute("select current_setting('server_encoding')")).fetchone()
            if row is None or row[0] != "UTF8":
                raise Misconfigured(
                    f"the database keeps text in {row and row[0]}, which cannot hold every text; make another: "
                    "create database NAME template template0 encoding 'UTF8' locale 'C'"
                )
            yield conn
    except psycopg.OperationalError as error:
        raise unreachable(error, conninfo) from error


async def _begin(conn: Connection) -> None:
    """Waits for others who migrate, and makes the schema and the table of versions, where none is to be moved there."""
    await conn.execute("select pg_advisory_xact_lock(%(lock)s)", {"lock": MIGRATION_LOCK})
    there = await conn.execute("select from pg_namespace where nspname = %(schema)s", {"schema": conn.schema})
    if there.rowcount == 0:
        await conn.execute(sql.SQL("create schema {}").format(sql.Identifier(conn.schema)))
    if await _version_table(conn) is None:
        await conn.execute(
            """create table schema_version (
                component text not null, version int not null, at timestamptz not null default now(),
                primary key (component, version))"""
        )


async def _missing(conn: Connection, kind: Component, load: Load) -> list[tuple[str, int]]:
    """(component, version) of the migrations that are not applied yet, in order."""
    table = await _version_table(conn)
    present = await _versions(conn, table) if table else {}
    if (other := OTHER_COMPONENT[kind]) in present:
        raise Misconfigured(f"this is a {other} database; the {kind} database must be another one")
    missing = []
    for component in COMPONENTS[kind]:
        known, version = sorted(load(component)), present.get(component, 0)
        if version > known[-1]:
            raise Misconfigured(
                f"the database's {component} schema is version {version}, this mintmark knows {known[-1]}; "
                "upgrade mintmark"
            )
        missing += [(component, v) for v in known if v > version]
    return missing


async def _version_table(conn: Connection) -> sql.Identifier | None:
    """Our table of versions: in our schema, or in `public` where the tables are to be moved; None: there is none."""
    query = """select nspname, array_agg(attname::text order by attnum) from pg_attribute
        join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
        where relname = 'schema_version' and nspname in (%(schema)s, 'public') and attnum > 0 and not attisdropped
        group by 1"""
    found: dict[str, list[str]] = dict(await (await conn.execute(query, {"schema": conn.schema})).fetchall())
    if found.get(conn.schema, VERSION_COLUMNS) != VERSION_COLUMNS:
        raise Misconfigured(
            f"the schema {conn.schema} holds another program's table schema_version; name another schema for ours: "
            "database_schema in the configuration"
        )
    if conn.schema in found:
        return sql.Identifier(conn.schema, "schema_version")
    if found.get("public") != VERSION_COLUMNS:
        return None
    former = sql.Identifier("public", "schema_version")
    return former if (await _versions(conn, former)).get("log", 0) < OWN_SCHEMA_VERSION else None


async def _versions(conn: Connection, table: sql.Identifier) -> dict[str, int]:
    query = sql.SQL("select component, max(version) from {} group by component").format(table)
    return dict(await (await conn.execute(query)).fetchall())
