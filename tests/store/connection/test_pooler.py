"""Behind pgbouncer in transaction mode: every transaction may have another session, and nothing minds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintmark.fsck.rebuild import rebuild
from mintmark.mirror.catch_up import CatchUp
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import Connection, open_pool
from mintmark.store.fsck import transactions
from mintmark.store.log.heads import HeadListener
from mintmark.store.mirror.read_store import ReadStore
from tests.support.logs import Written, erasures, users
from tests.support.oracle import check_log
from tests.support.wire import Wire
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.postgres import TestPostgres

PGBOUNCER = shutil.which("pgbouncer") or next((p for p in ("/usr/sbin/pgbouncer",) if Path(p).exists()), None)
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")

CONFIG = """
[databases]
{dbname} = host=127.0.0.1 port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_reset_query = discard all
server_reset_query_always = 1
logfile =
"""


@pytest.fixture
async def pooled(read_db: str, tmp_path: Path) -> AsyncIterator[str]:
    """`read_db` through a pooler with three sessions, which forgets what a session knew after each transaction."""
    async with Wire(read_db).open() as wire:  # pgbouncer may not enter the directory of the server's socket
        config = tmp_path / "pgbouncer.ini"
        upstream = conninfo_to_dict(wire.conninfo)
        upstream["password"] = Path(str(upstream["passfile"])).read_text().strip().rpartition(":")[2]
        config.write_text(CONFIG.format(listen=(port := free_port()), **upstream))
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = (str(PGBOUNCER), *user, str(config))
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        try:
            conninfo = make_conninfo(wire.conninfo, port=port, options="")  # which pgbouncer refuses
            await answers(conninfo, process)
            yield conninfo
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def answers(conninfo: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(conninfo):
                    return
            assert process.returncode is None
            await asyncio.sleep(0.05)


async def test_a_pooler_is_told_from_a_server(pooled: str, read_db: str) -> None:
    for conninfo, expected in ((pooled, False), (read_db, True)):
        async with await Connection.connect(conninfo, autocommit=True) as conn:
            assert conn.direct is expected


async def test_each_transaction_has_our_settings_and_our_schema(pooled: str, postgres: TestPostgres) -> None:
    name = conninfo_to_dict(pooled)["dbname"]
    for setting, value in {"timezone": "Asia/Kathmandu", "datestyle": "SQL, DMY", "search_path": "public"}.items():
        postgres.execute(f"alter database {name} set {setting} = '{value}'")
    postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    elsewhere = make_conninfo(pooled, options="-csearch_path=elsewhere")
    for conninfo, schema in ((pooled, "mintmark"), (elsewhere, "elsewhere")):
        query = "select current_setting('search_path'), current_setting('timezone'), current_setting('datestyle')"
        expected = (schema, "UTC", "ISO, MDY")
        async with open_pool(conninfo, 1) as pool:
            assert await pool.fetch(query) == [expected]
            async with pool.connection() as conn, conn.transaction():
                assert await (await conn.execute(query)).fetchone() == expected
                async with conn.transaction():
                    assert await (await conn.execute(query)).fetchone() == expected
            async with pool.connection() as conn, conn.pipeline():
                cursors = [await conn.execute(query) for _ in range(3)]
                assert [await cursor.fetchone() for cursor in cursors] == [expected] * 3
            with pytest.raises(psycopg.errors.DivisionByZero):
                await pool.fetch("select 1 / 0")
            assert await pool.fetch(query) == [expected]
        await migrate(conninfo, "read")
    async with await psycopg.AsyncConnection.connect(pooled, autocommit=True) as conn:  # nothing of it reaches others
        assert await (await conn.execute("show search_path")).fetchone() == ("public",)


@pytest.mark.parametrize("kind", ["opaque", "register"])
async def test_logs_are_written_and_read_by_many_at_once(pooled: str, read_db: str, kind: str) -> None:
    await migrate(pooled, "read")
    async with open_pool(pooled, 8) as pool:
        logs = [Written(ReadStore(pool), kind, f"store.example/{number}") for number in range(6)]

        async def work(log: Written) -> None:
            for start in range(0, 800, 100):
                await log.write(users(start, start + 100))
                await asyncio.gather(*(log.store.heads(range(1, 7)) for _ in range(8)))
            if kind == "register":
                await log.write(erasures(5))

        await asyncio.gather(*map(work, logs))
        for log in logs:
            assert await check_log(read_db, log.origin, log.world.verifiers) == log.world.size


async def test_moves_are_found_by_polling_where_no_notice_can_come(pooled: str) -> None:
    async with open_pool(pooled, 4) as pool:
        log = Written(ReadStore(pool), "opaque")
        feed = HeadListener(pool, pooled)
        running = asyncio.create_task(feed.run())
        async with asyncio.timeout(20), feed.subscribe() as subscription:
            await log.write(users(0, 10))
            assert await subscription.moved() == {1}
            await log.write(users(10, 20))
            assert await subscription.moved() == {1}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_rebuild_and_a_mirror_of_the_same_log_both_end(pooled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror comes when the log is locked, and would take every session that is left."""
    world, locked, frozen = World("world.example/log"), asyncio.Event(), transactions._frozen
    world.append([os.urandom(8) for _ in range(300)])

    async def later(connections: Sequence[Connection]) -> transactions.FsckStore:
        locked.set()
        await asyncio.sleep(1)
        return await frozen(connections)

    async with open_pool(pooled, 4) as mirror, open_pool(pooled, 3) as pool:
        store = ReadStore(mirror)
        follower = CatchUp(store, world.origin, world.verifiers)
        assert await follower.step(world, world.notes[-1], "opaque")
        log = await store.log(world.origin)
        world.append([os.urandom(8) for _ in range(60_000)])
        monkeypatch.setattr(transactions, "_frozen", later)
        rebuilding = asyncio.create_task(rebuild(pool, log, world.verifiers))
        await locked.wait()
        assert await follower.step(world, world.notes[-1], "opaque")
        assert await rebuilding == 300
