"""Sessions mean the same whatever a server, a database, a role or the environment says; our tables are ours alone."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintmark.errors import Misconfigured
from mintmark.postgres import server
from mintmark.postgres.server import ADMIN
from mintmark.store.connection.migrate import COMPONENTS, check, load_migrations, migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.connection.session import Connection, take_schema, with_schema
from mintmark.store.mirror.read_store import ReadStore
from mintmark.store.registers.register_store import Lookup, RegisterStore
from tests.support.logs import Written, users
from tests.support.oracle import check_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.postgres import TestPostgres

    NewDatabase = Callable[[str | None], str]

NAME = "École 東京 £"
HOSTILE = {
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "search_path": "elsewhere",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "default_transaction_isolation": "serializable",
}
VARIABLES = {
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Kathmandu",
    "PGOPTIONS": "-c search_path=elsewhere -c standard_conforming_strings=off",
}
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
FLYWAY = "create table schema_version (installed_rank int, version text, description text)"


@pytest.fixture
def plain(new_database: NewDatabase) -> str:
    """A database without any table, by a connection string that names no schema."""
    return make_conninfo(new_database(None), options="")


def run(conninfo: str, *statements: str) -> list[tuple[object, ...]]:
    """The rows of the last statement, in a session as the database and the role have it."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for statement in statements:
            cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def tables(conninfo: str, schema: str) -> set[object]:
    query = f"select relname from pg_class where relnamespace = to_regnamespace('{schema}') and relkind = 'r'"
    return {name for (name,) in run(conninfo, query)}


async def read_back(conninfo: str) -> None:
    """A register is written, and read again by other sessions: right, to the letter."""
    async with open_pool(conninfo, 2) as pool:
        log = Written(ReadStore(pool), "register", f"session.example/{time.monotonic_ns()}")
        await log.write([("user", NAME, {"name": NAME})])
        held = await log.store.log(log.origin)
    async with open_pool(conninfo, 2) as pool:
        found = await RegisterStore(pool).latest([Lookup(held.id, 1, NAME)])
        assert [(row.key, row.item) for row in found.values()] == [(NAME, {"name": NAME})]
        (status,) = (each for each in await ReadStore(pool).status.of_logs() if each.origin == log.origin)
        assert status.head_at is not None
        assert abs(status.head_at.timestamp() - time.time()) < 600


@pytest.mark.parametrize("whose", ["database", "role"])
async def test_a_database_s_and_a_role_s_own_settings_change_nothing(
    plain: str, postgres: TestPostgres, whose: str
) -> None:
    name = conninfo_to_dict(plain)["dbname"]
    holder = f"database {name}" if whose == "database" else f"role {server.USER} in database {name}"
    for setting, value in HOSTILE.items():
        postgres.execute(f"alter {holder} set {setting} = '{value}'")
    for _ in range(2):
        await migrate(plain, "read")
        await check(plain, "read")
        await read_back(plain)


async def test_variables_of_libpq_change_nothing(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        await migrate(plain, "read")
        await read_back(plain)


async def test_each_setting_is_what_we_say(plain: str, postgres: TestPostgres) -> None:
    for setting, value in HOSTILE.items():
        postgres.execute(f"alter database {conninfo_to_dict(plain)['dbname']} set {setting} = '{value}'")
    async with await Connection.connect(plain) as conn:
        pins = {**conn.pins(), "client_encoding": "UTF8"}
        for setting, value in pins.items():
            row = await (await conn.execute("select current_setting(%s)", (setting,))).fetchone()
            assert row == (value,)
    assert set(HOSTILE) - set(pins) == {"bytea_output"}  # the driver reads either


@pytest.mark.parametrize("kind", COMPONENTS)
@pytest.mark.parametrize(("encoding", "locale"), [("LATIN1", "C"), ("SQL_ASCII", "C"), ("EUC_JP", "C")])
async def test_a_database_that_cannot_hold_every_text_is_refused_before_the_first_write(
    plain: str, postgres: TestPostgres, kind: str, encoding: str, locale: str
) -> None:
    name = f"encoded_{encoding.lower()}_{kind}"
    postgres.execute(
        f"create database {name} template template0 encoding '{encoding}' locale '{locale}' owner {server.USER}"
    )
    database = make_conninfo(plain, dbname=name)
    try:
        for look in (migrate, check, migrate):
            with pytest.raises(Misconfigured, match=rf"{encoding}.*create database NAME .*encoding 'UTF8'"):
                await look(database, kind)
        assert run(database, "select nspname from pg_namespace where nspname = 'mintmark'") == []
        assert tables(database, "public") == set()
    finally:
        postgres.drop(name)


@pytest.mark.parametrize("kind", COMPONENTS)
async def test_tables_of_the_same_names_that_are_somebody_else_s_are_left_alone(plain: str, kind: str) -> None:
    run(plain, "create table log (id serial, message text)", "insert into log (message) values ('theirs')", FLYWAY)
    for _ in range(2):
        await migrate(plain, kind)
        await check(plain, kind)
    if kind == "read":
        await read_back(plain)
    assert run(plain, "select message from public.log") == [("theirs",)]
    assert run(plain, "select count(*) from public.schema_version") == [(0,)]
    assert tables(plain, "public") == {"log", "schema_version"}
    assert "log" in tables(plain, "mintmark")


async def test_a_schema_that_is_another_program_s_is_refused_naming_the_setting(plain: str) -> None:
    run(plain, "create schema mintmark", "set search_path to mintmark", FLYWAY)
    with pytest.raises(Misconfigured, match="database_schema"):
        await migrate(plain, "read")
    await migrate(with_schema(plain, "copies"), "read")
    await read_back(with_schema(plain, "copies"))


async def test_two_schemas_of_one_database_are_two_databases(plain: str) -> None:
    mint, read = with_schema(plain, "one"), with_schema(plain, "two")
    await migrate(mint, "mint")
    await migrate(read, "read")
    await read_back(read)
    with pytest.raises(Misconfigured, match="this is a mint database"):
        await check(mint, "read")
    assert tables(plain, "public") == set()


@pytest.mark.parametrize("name", ["", "a,b", 'a"b', "pg_own", "Über", "$user", "a" * 64, "a; drop"])
def test_what_is_no_name_of_a_schema(name: str) -> None:
    with pytest.raises(Misconfigured, match="database_schema"):
        with_schema("dbname=x", name)


def test_the_schema_goes_with_the_connection_string() -> None:
    for given in ("dbname=x", "postgresql:///x?options=-c%20statement_timeout%3D5s"):
        conninfo = with_schema(with_schema(given, "first"), "second")
        rest, schema = take_schema(conninfo)
        assert schema == "second"
        assert "search_path" not in rest
        assert ("statement_timeout" in rest) == ("statement_timeout" in given)
    assert take_schema("dbname=x") == ("dbname=x", "mintmark")


# Tables that stood in `public`.


def former(component: str) -> Mapping[int, str]:
    """The migrations of the version before."""
    last = {"log": 1, "mint": 2, "read": 2}[component]
    return {version: text for version, text in load_migrations(component).items() if version <= last}


async def test_a_read_database_of_the_version_before_moves_to_its_schema_with_all_it_holds(
    plain: str, postgres: TestPostgres
) -> None:
    old = with_schema(plain, "public")
    await migrate(old, "read", former)
    async with open_pool(old, 2) as pool:
        log = Written(ReadStore(pool), "register")
        await log.write(users(0, 300))
    run(plain, "create table theirs ()")
    postgres.role("reader")
    run(plain, "grant select on head to reader")
    for _ in range(2):
        await migrate(plain, "read")
    assert tables(plain, "public") == {"theirs", "schema_version"}
    assert await check_log(with_schema(plain, "mintmark"), log.origin, log.world.verifiers) == 300
    async with open_pool(plain, 2) as pool:
        log.store = ReadStore(pool)
        await log.write(users(300, 400))
    assert await check_log(with_schema(plain, "mintmark"), log.origin, log.world.verifiers) == 400
    reading = postgres.server.conninfo(str(conninfo_to_dict(plain)["dbname"]), "reader")
    assert run(reading, "select size from mintmark.head") == [(400,)]


async def test_a_version_before_does_not_take_a_moved_database_for_an_empty_one(plain: str) -> None:
    old = with_schema(plain, "public")
    await migrate(old, "mint", former)
    await migrate(plain, "mint")
    with pytest.raises(Misconfigured, match="log schema is version 2, this mintmark knows 1; upgrade mintmark"):
        await migrate(old, "mint", former)
    assert tables(plain, "public") == {"schema_version"}
    await migrate(with_schema(plain, "another"), "mint")  # what stays behind in public moves nowhere


async def test_a_mint_goes_back_by_the_statements_of_the_documentation(plain: str) -> None:
    old = with_schema(plain, "public")
    await migrate(old, "mint", former)
    before = tables(plain, "public")
    await migrate(plain, "mint")
    (block,) = re.findall(r"```postgresql\n(begin;.*?)```", OPERATIONS.read_text(), re.DOTALL)
    run(plain, block)
    assert tables(plain, "public") == before
    await migrate(old, "mint", former)
    assert run(old, "select to_regproc('public.commit_append') is not null") == [(True,)]
    await migrate(plain, "mint")


async def test_a_move_that_fails_leaves_everything_where_it_was(plain: str) -> None:
    old = with_schema(plain, "public")
    await migrate(old, "read", former)
    before = tables(plain, "public")

    def failing(component: str) -> Mapping[int, str]:
        return {**load_migrations(component), 999: "select 1 / 0"}

    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(plain, "read", failing)
    assert tables(plain, "public") == before
    await migrate(plain, "read")


async def test_who_wants_the_tables_in_public_keeps_them_there(plain: str) -> None:
    old = with_schema(plain, "public")
    await migrate(old, "read", former)
    await migrate(old, "read")
    await read_back(old)
    assert tables(plain, "mintmark") == set()


async def test_a_user_without_rights_on_the_schema_is_told_which(plain: str, postgres: TestPostgres) -> None:
    await migrate(plain, "read")
    stranger = postgres.server.conninfo(str(conninfo_to_dict(plain)["dbname"]), postgres.role("stranger"))
    with pytest.raises(Misconfigured, match="usage on the schema mintmark, and select on all tables"):
        await check(stranger, "read")


async def test_a_connection_that_is_cancelled_midway_holds_nothing(
    new_database: Callable[[str | None], str], postgres: TestPostgres
) -> None:
    """The server would wait for such a client for a minute, and no database could be dropped meanwhile."""
    database = new_database("read")
    kept: list[BaseException] = []  # their tracebacks keep what was not closed
    for step in range(60):
        connecting = asyncio.create_task(Connection.connect(database))
        await asyncio.sleep(step * 0.0002)
        connecting.cancel()
        try:
            await (await connecting).close()
        except asyncio.CancelledError as error:
            kept.append(error)
    with psycopg.connect(postgres.server.conninfo("postgres", ADMIN), autocommit=True) as conn:
        conn.execute("select pg_sleep(0.2)")
        assert conn.execute("select count(*) from pg_stat_activity where state = 'starting'").fetchone() == (0,)
