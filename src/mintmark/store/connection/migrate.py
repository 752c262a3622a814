"""Databases and their schema: created on a server of our own, and brought to this version by migrations.

A migration is a file migrations/<component>/NNN.sql. Each is applied once, all in one transaction. A database is the
mint's or a read database, never both: logs are in the same tables there, written by different rules.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Literal

import psycopg
from psycopg import errors as pg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mintmark.errors import Misconfigured
from mintmark.store.connection.pool import refused, unreachable, with_timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from mintmark.store.connection.pool import Connection

    Load = Callable[[str], Mapping[int, str]]

Component = Literal["mint", "read"]

COMPONENTS: dict[Component, tuple[str, ...]] = {"mint": ("log", "mint"), "read": ("log", "read")}
OTHER_COMPONENT: dict[Component, Component] = {"mint": "read", "read": "mint"}
SERVERS: dict[Component, str] = {"mint": "mint", "read": "mirror"}
MIGRATION_LOCK = 7239541  # the advisory lock of those who migrate


def socket_conninfo(directory: Path, port: str, user: str, database: str) -> str:
    """The connection string of a database behind the unix socket in a directory."""
    return make_conninfo(host=str(directory), port=port, user=user, dbname=database)


async def accepts_connections(conninfo: str) -> bool:
    """True if the server accepts a connection now."""
    try:
        async with await psycopg.AsyncConnection.connect(conninfo):
            return True
    except psycopg.OperationalError:
        return False


async def create_databases(conninfo: str, owner: str, names: Sequence[str]) -> None:
    """Creates the role `owner` and its databases where they do not exist; `conninfo` is a superuser's."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        role = await conn.execute("select from pg_roles where rolname = %(owner)s", {"owner": owner})
        if await role.fetchone() is None:
            await conn.execute(sql.SQL("create role {} login").format(sql.Identifier(owner)))
        present = {row[0] for row in await (await conn.execute("select datname from pg_database")).fetchall()}
        for name in (name for name in names if name not in present):
            create = sql.SQL("create database {} owner {}")
            await conn.execute(create.format(sql.Identifier(name), sql.Identifier(owner)))


def load_migrations(component: str) -> Mapping[int, str]:
    """The statements of a component by version: "log", "mint" or "read"."""
    directory = resources.files(__package__).joinpath("migrations", component)
    return {int(file.name[:3]): file.read_text() for file in directory.iterdir() if file.name.endswith(".sql")}


async def migrate(conninfo: str, kind: Component, load: Load = load_migrations) -> None:
    """Brings a database to this version's schema; where it is there already, nothing is locked or written.

    Raises Misconfigured for a newer schema, a database of the other kind or a user without the right; Unavailable.
    """
    applied = "insert into schema_version (component, version) values (%(component)s, %(version)s)"
    try:
        async with _connected(conninfo) as conn:
            if await _missing(conn, kind, load):
                await _lock(conn)
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
            missing = await _missing(conn, kind, load_migrations)
    except pg.InsufficientPrivilege as error:
        raise refused(error) from error
    if missing:
        raise Misconfigured(
            f"the {kind} database lacks tables of this version; start mintmark {SERVERS[kind]} on it once"
        )


async def _lock(conn: Connection) -> None:
    """Waits for others who migrate, and makes the table of versions."""
    await conn.execute("select pg_advisory_xact_lock(%(lock)s)", {"lock": MIGRATION_LOCK})
    await conn.execute(
        """create table if not exists schema_version (
            component text not null, version int not null, at timestamptz not null default now(),
            primary key (component, version))"""
    )


@asynccontextmanager
async def _connected(conninfo: str) -> AsyncIterator[Connection]:
    try:
        async with await psycopg.AsyncConnection.connect(with_timeouts(conninfo)) as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise unreachable(error) from error


async def _missing(conn: Connection, kind: Component, load: Load) -> list[tuple[str, int]]:
    """(component, version) of the migrations that are not applied yet, in order."""
    present = await _versions(conn)
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


async def _versions(conn: Connection) -> dict[str, int]:
    row = await (await conn.execute("select to_regclass('schema_version') is null")).fetchone()
    if row and row[0]:
        return {}
    versions = await conn.execute("select component, max(version) from schema_version group by component")
    return dict(await versions.fetchall())
