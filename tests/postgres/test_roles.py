"""Least privilege: each process of an `up` has a role of its own, which cannot do what another's can."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintmark.cli.run.postgres import OWNERS, READER, running_postgres
from mintmark.cli.run.up_files import CONFIG_TEMPLATE, Databases, write_files
from mintmark.config.deployment import DeploymentDir
from mintmark.postgres.server import ADMIN, EmbeddedServer
from mintmark.store.connection.migrate import check, migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.connection.roles import grant_reading
from mintmark.store.connection.session import with_schema
from mintmark.store.mirror.read_store import ReadStore
from tests.support.logs import Written, users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.postgres import TestPostgres

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
DENIED = psycopg.errors.InsufficientPrivilege
CANNOT_WRITE = (
    "insert into log (origin, name, kind) values ('a/b', 'b', 'opaque')",
    "update head set size = 0",
    "update progress set stopped = 'no'",
    "delete from entry",
    "truncate evidence",
    "begin; lock table head in access exclusive mode",
    "drop table entry",
    "create table mintmark.mine ()",
    "create table public.mine ()",
    "create temporary table mine ()",
    "create schema mine",
    "select gin_clean_pending_list('entry_value')",
    "insert into schema_version values ('log', 99)",
)
CANNOT_ANY = (
    "select pg_read_file('/etc/hostname')",
    "copy pg_class to program 'cat'",
    "create role mine superuser",
    "create database mine",
    "set role postgres",
    "set role mintmark_mint; set role mintmark_mirror",
    "alter system set fsync = off",
    "select rolpassword from pg_authid",
)

AS_ANOTHER_USER = """
import os, psycopg, sys
try:
    psycopg.connect("host=/nowhere")  # imports all that it needs, while we may read it
except psycopg.OperationalError:
    os.setgid(1)
    os.setuid(1)
    psycopg.connect(sys.argv[1])
"""


def attempt(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(statement.encode())


async def prepared(databases: Databases) -> Databases:
    await migrate(databases.mint, "mint")
    await migrate(databases.read, "read")
    await grant_reading(databases.read, READER)
    async with open_pool(databases.read, 2) as pool:
        await Written(ReadStore(pool), "register").write(users(0, 20))
    return databases


@pytest.fixture
async def databases(tmp_path: Path) -> AsyncIterator[Databases]:
    async with running_postgres(tmp_path / "p") as databases:
        yield await prepared(databases)


def elsewhere(conninfo: str, name: str) -> str:
    return make_conninfo(conninfo, dbname=name)


async def test_what_each_role_cannot(databases: Databases) -> None:
    for statement in CANNOT_WRITE:
        with pytest.raises(DENIED):
            attempt(databases.api, statement)
    for conninfo in databases:
        for statement in CANNOT_ANY:
            with pytest.raises(DENIED):
                attempt(conninfo, statement)
    homes = {databases.mint: "mint", databases.read: "read", databases.api: "read"}
    for conninfo, home in homes.items():
        for name in {"mint", "read", "postgres", "template1"} - {home}:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                attempt(elsewhere(conninfo, name), "select 1")


async def test_what_the_read_api_can(databases: Databases) -> None:
    await check(databases.api, "read")
    with psycopg.connect(databases.api) as conn:
        assert conn.execute("select size from head").fetchone() == (20,)
        assert conn.execute("select count(*) from entry").fetchone() == (20,)
        conn.execute("listen mintmark_head")
        conn.execute("select * from log, progress, tile, bundle, checkpoint, evidence, heartbeat, v1_tile limit 1")
    attempt(databases.read, "create table later ()")  # as a migration of a later version does
    attempt(databases.api, "select * from later")


async def test_no_role_is_let_in_without_its_password(databases: Databases, tmp_path: Path) -> None:
    for conninfo in databases:
        wrong = tmp_path / "wrong"
        wrong.write_text("*:*:*:*:guess\n")
        wrong.chmod(0o600)
        for passfile in ("/dev/null", str(wrong)):
            with pytest.raises(psycopg.OperationalError, match="password"):
                attempt(make_conninfo(conninfo, passfile=passfile), "select 1")
    kept = list((tmp_path / "p" / "passwords").iterdir())
    assert {file.name for file in kept} == {*OWNERS.values(), READER}
    assert {file.stat().st_mode & 0o777 for file in kept} == {0o600}
    assert len({file.read_text().rpartition(":")[2] for file in kept}) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_the_superuser_is_the_socket_s_owner_alone() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # what stops the other user is who it is, not the way there
        async with running_postgres(Path(name) / "p") as databases:
            admin = make_conninfo(databases.mint, user=ADMIN, dbname="postgres", passfile="/dev/null")
            attempt(admin, "select pg_read_file('PG_VERSION')")
            (Path(name) / "p").chmod(0o711)
            (Path(name) / "p" / ".s.PGSQL.5432").chmod(0o777)
            command = [sys.executable, "-c", AS_ANOTHER_USER, admin]
            ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
            assert re.search("[Pp]eer authentication failed", ran.stderr), ran.stderr


async def test_a_deployment_of_the_time_when_all_were_one_role_is_brought_over(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    former = EmbeddedServer(tmp_path / "postgres")
    await former.start(["mint", "read"])
    mint, read = (with_schema(former.conninfo(name), "public") for name in ("mint", "read"))
    await migrate(mint, "mint")
    await migrate(read, "read")
    async with open_pool(read, 2) as pool:
        await Written(ReadStore(pool), "register").write(users(0, 20))
    await former.stop()
    (tmp_path / "postgres" / "data" / "pg_hba.conf").write_text("local all all trust\n")
    host = f"host={conninfo_to_dict(mint)['host']} port=5432 user=mintmark"
    old = {"mint": f'"{host} dbname=mint"', "read": f'"{host} dbname=read"', "api": f'"{host} dbname=read"'}
    text = CONFIG_TEMPLATE.format(**old, grpc='"127.0.0.1:1"', http='"127.0.0.1:2"', source='"127.0.0.1:1"')
    place.config.write_text(text + '[other]\ndatabase = "mine"\n')
    place.tokens.parent.mkdir()
    for _ in range(2):
        async with running_postgres(tmp_path / "postgres") as databases:
            await migrate(with_schema(databases.mint, "public"), "mint")
            await migrate(with_schema(databases.read, "public"), "read")
            await grant_reading(with_schema(databases.read, "public"), READER)
            write_files(place, databases, "127.0.0.1:1", "127.0.0.1:2")
            attempt(databases.api, "select from public.entry")
            attempt(databases.read, "update public.head set size = size")
            with pytest.raises(DENIED):
                attempt(databases.api, "update public.head set size = size")
            with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
                attempt(former.conninfo("read"), "select 1")
    for name, conninfo in zip(("mint", "read", "api"), databases, strict=True):
        text = text.replace(f"database = {old[name]}", f'database = "{conninfo}"', 1)
    assert place.config.read_text() == text + '[other]\ndatabase = "mine"\n'


async def test_a_database_that_somebody_named_stays_in_the_configuration(tmp_path: Path) -> None:
    place = DeploymentDir(tmp_path)
    place.config.write_text('[mint]\ndatabase = "host=db port=5432 user=mintmark dbname=mint"\n')
    place.tokens.parent.mkdir()
    before = place.config.read_text()
    write_files(place, Databases("host=/p user=a", "host=/p user=b", "host=/p user=c"), "127.0.0.1:1", "127.0.0.1:2")
    assert place.config.read_text() == before


async def test_the_documented_grants_are_what_a_read_api_needs(
    new_database: Callable[[str | None], str], postgres: TestPostgres
) -> None:
    database = new_database("read")
    name = str(conninfo_to_dict(database)["dbname"])
    (block,) = re.findall(r"```postgresql\n(grant connect.*?)```", OPERATIONS.read_text(), re.DOTALL)
    reader = postgres.server.conninfo(name, postgres.role("reader"))
    with pytest.raises(DENIED):
        attempt(reader, "select from mintmark.entry")
    attempt(database, block.replace("read_database", name))
    await check(reader, "read")
    attempt(reader, "select from mintmark.entry")
    for statement in CANNOT_WRITE:
        with pytest.raises(DENIED):
            attempt(reader, statement)
