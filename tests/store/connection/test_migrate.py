"""Migrations: applied once, by however many at once; what is newer or another's is refused and left as it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.errors import Misconfigured, Unavailable
from mintmark.postgres import server
from mintmark.store.connection.migrate import COMPONENTS, check, load_migrations, migrate
from tests.support.postgres import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.postgres import TestPostgres

SHAPE = """
    select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
    where table_schema in ('public', 'mintmark') and table_name <> 'schema_version' order by 1, ordinal_position"""


async def ask(conninfo: str, query: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        cursor = await conn.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("kind", COMPONENTS)
async def test_many_at_once_migrate_an_empty_database_once(
    new_database: Callable[[str | None], str], kind: str
) -> None:
    database = new_database(None)
    await asyncio.gather(*(migrate(database, kind) for _ in range(6)))
    versions = await ask(database, "select component, count(*) from schema_version group by 1 order by 1")
    assert [component for component, _ in versions] == sorted(COMPONENTS[kind])


@pytest.mark.parametrize("kind", COMPONENTS)
async def test_a_database_that_is_up_to_date_is_not_written(
    new_database: Callable[[str | None], str], kind: str
) -> None:
    database = new_database(kind)
    before = await ask(database, SHAPE)
    read_only = psycopg.conninfo.make_conninfo(database, options="-c default_transaction_read_only=on")
    await migrate(read_only, kind)
    assert await ask(database, SHAPE) == before


@pytest.mark.parametrize("kind", COMPONENTS)
async def test_a_newer_schema_is_refused_with_the_fix(new_database: Callable[[str | None], str], kind: str) -> None:
    database = new_database(kind)
    await ask(database, "insert into schema_version (component, version) values ('log', 999)")
    for look in (migrate, check):
        with pytest.raises(
            Misconfigured, match=r"log schema is version 999, this mintmark knows \d+; upgrade mintmark"
        ):
            await look(database, kind)


@pytest.mark.parametrize(("kind", "other"), [("mint", "read"), ("read", "mint")])
async def test_the_other_kind_s_database_is_refused(
    new_database: Callable[[str | None], str], kind: str, other: str
) -> None:
    database = new_database(other)
    before = await ask(database, SHAPE)
    with pytest.raises(Misconfigured, match=f"this is a {other} database; the {kind} database must be another"):
        await migrate(database, kind)
    assert await ask(database, SHAPE) == before


@pytest.mark.parametrize(("kind", "server"), [("mint", "mint"), ("read", "mirror")])
async def test_who_only_looks_makes_no_tables(
    new_database: Callable[[str | None], str], kind: str, server: str
) -> None:
    database = new_database(None)
    with pytest.raises(Misconfigured, match=f"lacks tables of this version; start mintmark {server} on it once"):
        await check(database, kind)
    assert await ask(database, SHAPE) == []
    await migrate(database, kind)
    await check(database, kind)


async def test_a_user_who_may_not_is_told_so(postgres: TestPostgres, new_database: Callable[[str | None], str]) -> None:
    database = new_database(None)
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    postgres.role("guest")
    await ask(postgres.server.conninfo(str(name), server.ADMIN), "revoke create on schema public from public")
    with pytest.raises(Misconfigured, match="connect as the database's owner"):
        await migrate(postgres.server.conninfo(str(name), "guest"), "read")


async def test_a_migration_that_fails_leaves_nothing(new_database: Callable[[str | None], str]) -> None:
    database = new_database(None)

    def failing(component: str) -> dict[int, str]:
        return {**load_migrations(component), 2: "create table x (); select 1 / 0"}

    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database, "read", failing)
    assert await ask(database, SHAPE) == []
    await migrate(database, "read")


async def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    for look in (migrate, check):
        with pytest.raises(Unavailable, match="the database cannot be reached") as caught:
            await look(f"host={tmp_path} dbname=x", "read")
        assert "\n" not in str(caught.value)


async def test_after_a_crash_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "p") as server:
        migrating = asyncio.create_task(migrate(server.conninfo("mint"), "mint"))
        await asyncio.sleep(0.03)
        server._process.kill()
        await asyncio.gather(migrating, server.wait(), return_exceptions=True)
        await server.start()
        await migrate(server.conninfo("mint"), "mint")
        known = sum(len(load_migrations(component)) for component in COMPONENTS["mint"])
        assert await ask(server.conninfo("mint"), "select count(*) from schema_version") == [(known,)]
