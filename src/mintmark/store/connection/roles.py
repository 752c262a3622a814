"""Roles and databases on a server of our own, and what a reader of a read database is granted.

Each process has a role of its own, which owns its database or reads one; none reaches another's. A role is known by a
password, not by who runs the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mintmark.store.connection.pool import Connection
from mintmark.store.connection.session import DEFAULT_SCHEMA, with_schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SYSTEM_DATABASES = ("postgres", "template1")
GRANT_READING = (
    "grant usage on schema {schema} to {role}",
    "grant select on all tables in schema {schema} to {role}",
    "alter default privileges in schema {schema} grant select on tables to {role}",
)


def socket_conninfo(directory: Path, port: str, user: str, database: str, passfile: Path | None) -> str:
    """The connection string of a database behind the unix socket in a directory; with it, psql too finds our tables."""
    given = make_conninfo(host=str(directory), port=port, user=user, dbname=database)
    return with_schema(make_conninfo(given, passfile=str(passfile)) if passfile else given, DEFAULT_SCHEMA)


async def accepts_connections(conninfo: str) -> bool:
    """True if the server accepts a connection now."""
    try:
        async with await Connection.connect(conninfo):
            return True
    except psycopg.OperationalError:
        return False


async def create_roles(conninfo: str, passwords: Mapping[str, str]) -> None:
    """Creates these roles where they do not exist, and sets their passwords; `conninfo` is a superuser's."""
    async with await Connection.connect(conninfo, autocommit=True) as conn:
        present = {row[0] for row in await (await conn.execute("select rolname from pg_roles")).fetchall()}
        for role, password in passwords.items():
            verb = sql.SQL("alter" if role in present else "create")
            await conn.execute(sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), password))


async def create_databases(conninfo: str, owners: Mapping[str, str]) -> None:
    """Creates databases of these owners where they do not exist, and lets nobody else in."""
    async with await Connection.connect(conninfo, autocommit=True) as conn:
        present = {row[0] for row in await (await conn.execute("select datname from pg_database")).fetchall()}
        for name, owner in owners.items():
            if name not in present:
                create = sql.SQL("create database {} owner {}")
                await conn.execute(create.format(sql.Identifier(name), sql.Identifier(owner)))
        for name in (*owners, *SYSTEM_DATABASES):
            await conn.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))
    for name, owner in owners.items():  # before Postgres 15 everybody may make tables in `public`
        async with await Connection.connect(make_conninfo(conninfo, dbname=name), autocommit=True) as inside:
            await inside.execute("revoke create on schema public from public")
            await inside.execute(sql.SQL("grant create on schema public to {}").format(sql.Identifier(owner)))


async def take_over(conninfo: str, former: str, owners: Mapping[str, str]) -> None:
    """Gives what one role owned in these databases to their owners; then nobody connects as that role any more.

    Crash order: the role is shut out last, so a start after a crash does all of it again.
    """
    async with await Connection.connect(conninfo, autocommit=True) as conn:
        query = "select from pg_roles where rolname = %(former)s and rolcanlogin"
        if (await conn.execute(query, {"former": former})).rowcount == 0:
            return
        for name, owner in owners.items():
            async with await Connection.connect(make_conninfo(conninfo, dbname=name), autocommit=True) as inside:
                reassign = sql.SQL("reassign owned by {} to {}")
                await inside.execute(reassign.format(sql.Identifier(former), sql.Identifier(owner)))
        for name, owner in owners.items():  # the databases themselves went to whoever came first
            alter = sql.SQL("alter database {} owner to {}")
            await conn.execute(alter.format(sql.Identifier(name), sql.Identifier(owner)))
        await conn.execute(sql.SQL("alter role {} nologin").format(sql.Identifier(former)))


async def grant_reading(conninfo: str, role: str) -> None:
    """Lets a role read the tables of a read database, those of later versions too; `conninfo` is the owner's."""
    async with await Connection.connect(conninfo, autocommit=True) as conn:
        names = {"schema": sql.Identifier(conn.schema), "role": sql.Identifier(role)}
        database = sql.SQL("grant connect on database {} to {}")
        await conn.execute(database.format(sql.Identifier(conn.info.dbname), names["role"]))
        for grant in GRANT_READING:
            await conn.execute(sql.SQL(grant).format(**names))
