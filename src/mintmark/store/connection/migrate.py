"""Versioned migrations: migrations/<component>/NNN.sql, each applied once, all in one transaction.

A database is the mint's or a read database, never both: logs are in the same tables there, written by different rules.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Literal

import psycopg
from psycopg import errors as pg

from mintmark.errors import Misconfigured
from mintmark.store.connection.pool import settled, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from psycopg.rows import TupleRow

    Connection = psycopg.AsyncConnection[TupleRow]

Component = Literal["mint", "read"]

COMPONENTS: dict[Component, tuple[str, ...]] = {"mint": ("log", "mint"), "read": ("log", "read")}
OTHER: dict[Component, Component] = {"mint": "read", "read": "mint"}
SERVERS: dict[Component, str] = {"mint": "mint", "read": "mirror"}
LOCK = "select pg_advisory_xact_lock(7239541)"
TABLE = """
    create table if not exists schema_version (
        component text not null, version int not null, at timestamptz not null default now(),
        primary key (component, version))"""
IS_NEW = "select to_regclass('schema_version') is null"
VERSIONS = "select component, max(version) from schema_version group by component"
APPLIED = "insert into schema_version (component, version) values (%s, %s)"


async def migrate(conninfo: str, kind: Component) -> None:
    """Brings a database to this version's schema; where it is there already, nothing is locked or written.

    Raises Misconfigured for a newer schema, the other kind's database or a user who may not; Unavailable.
    """
    try:
        async with _connected(conninfo) as conn:
            if await _missing(conn, kind):
                await conn.execute(LOCK)
                await conn.execute(TABLE)
                for component, version in await _missing(conn, kind):  # another may have been faster
                    await conn.execute(_sql(component)[version].encode())
                    await conn.execute(APPLIED, (component, version))
    except (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction) as error:
        raise Misconfigured(
            f"the database's schema cannot be made: {str(error).strip()}; connect as the database's owner"
        ) from error


async def check(conninfo: str, kind: Component) -> None:
    """For who only looks: raises as `migrate` does, and Misconfigured where there is something to apply."""
    async with _connected(conninfo) as conn:
        if await _missing(conn, kind):
            raise Misconfigured(
                f"the {kind} database has not the tables of this version; start mintmark {SERVERS[kind]} on it once"
            )


@asynccontextmanager
async def _connected(conninfo: str) -> AsyncIterator[Connection]:
    try:
        async with await psycopg.AsyncConnection.connect(settled(conninfo)) as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise unreachable(error) from error


async def _missing(conn: Connection, kind: Component) -> list[tuple[str, int]]:
    """(component, version) of what is still to be applied, in order."""
    present = await _versions(conn)
    if OTHER[kind] in present:
        raise Misconfigured(f"this is a {OTHER[kind]} database; the {kind} database must be another one")
    missing = []
    for component in COMPONENTS[kind]:
        known, version = sorted(_sql(component)), present.get(component, 0)
        if version > known[-1]:
            raise Misconfigured(
                f"the database's {component} schema is version {version}, this mintmark knows {known[-1]}; "
                "upgrade mintmark"
            )
        missing += [(component, v) for v in known if v > version]
    return missing


async def _versions(conn: Connection) -> dict[str, int]:
    row = await (await conn.execute(IS_NEW)).fetchone()
    if row and row[0]:
        return {}
    return dict(await (await conn.execute(VERSIONS)).fetchall())


def _sql(component: str) -> dict[int, str]:
    return dict(_files(component))


def _files(component: str) -> Iterator[tuple[int, str]]:
    for file in resources.files("mintmark.store.connection").joinpath("migrations", component).iterdir():
        if file.name.endswith(".sql"):
            yield int(file.name[:3]), file.read_text()
