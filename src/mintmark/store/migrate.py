"""Versioned migrations: sql/<component>/NNN.sql, each applied once, all in one transaction."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Literal

import psycopg

from mintmark.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPONENTS = {"mint": ("log", "mint"), "read": ("log", "read")}
LOCK = "select pg_advisory_xact_lock(7239541)"
TABLE = """
    create table if not exists schema_version (
        component text not null, version int not null, at timestamptz not null default now(), primary key (component, version))"""


async def migrate(conninfo: str, kind: Literal["mint", "read"]) -> None:
    """Brings a database to this version's schema. Raises Misconfigured for a newer one, Unavailable."""
    try:
        async with await psycopg.AsyncConnection.connect(conninfo) as conn:
            await conn.execute(LOCK)
            await conn.execute(TABLE)
            for component in COMPONENTS[kind]:
                await _apply(conn, component)
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {str(error).strip()}") from error


async def _apply(conn: psycopg.AsyncConnection[tuple[object, ...]], component: str) -> None:
    row = await (await conn.execute("select coalesce(max(version), 0) from schema_version where component = %s", (component,))).fetchone()
    present = int(str(row[0])) if row else 0
    known = dict(_versions(component))
    if present > max(known):
        raise Misconfigured(f"the database's {component} schema is version {present}, this mintmark knows {max(known)}; upgrade mintmark")
    for version in sorted(v for v in known if v > present):
        await conn.execute(known[version].encode())
        await conn.execute("insert into schema_version (component, version) values (%s, %s)", (component, version))


def _versions(component: str) -> Iterator[tuple[int, str]]:
    for file in resources.files("mintmark.store").joinpath("sql", component).iterdir():
        if file.name.endswith(".sql"):
            yield int(file.name[:3]), file.read_text()
