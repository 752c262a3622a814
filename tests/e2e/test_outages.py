"""A database that is away, a standby, a failover, a hang-up: no task dies in silence, and work goes on by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.api.server import opened
from mintmark.errors import MintmarkError
from mintmark.postgres.server import ADMIN
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.heads import HeadListener
from mintmark.store.mirror.read_store import ReadStore
from tests.support.logs import Written, users
from tests.support.mint_site import THINGS, create, put
from tests.support.places import add_records, mirror_config, register
from tests.support.postgres import REPLICATED, running, standby
from tests.support.read_api import connect, mirror
from tests.support.up import up
from tests.support.world import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from tests.support.mint_site import Site

pytestmark = pytest.mark.e2e
PATIENCE_SECONDS = 60.0


async def test_a_mint_works_again_once_its_database_is_back(site: Site, tmp_path: Path) -> None:
    async with running(tmp_path / "postgres") as server:
        site.database = server.conninfo("mint")
        async with site.running(database_timeout=1.0) as client:
            await create(client)
            assert (await put(client, [b"before"])).first == 0
            await server.stop()
            for _ in range(4):  # long enough for every task to have met the outage
                with pytest.raises(MintmarkError):
                    await put(client, [b"meanwhile"])
            await server.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    with suppress(MintmarkError):
                        assert (await put(client, [b"after"])).first == 1
                        break
            assert await client.checkpoint(THINGS)


async def test_the_api_on_a_standby_follows_the_heads(tmp_path: Path) -> None:
    things = register("registers.test/thing", 20)
    async with running(tmp_path / "primary", "read", REPLICATED) as primary:
        database = primary.conninfo("read")
        await migrate(database, "read")
        await mirror(database, things)
        async with standby(primary, tmp_path / "standby") as copy, opened(copy.conninfo("read"), {}) as app:
            await until_size(connect(app), things.size)
            for _ in range(2):
                add_records(things, 10)
                await mirror(database, things)
                await until_size(connect(app), things.size)


async def test_after_a_failover_to_a_standby_a_listener_goes_on(tmp_path: Path) -> None:
    told: list[BaseException] = []
    async with running(tmp_path / "primary", "read", REPLICATED) as primary:
        database = primary.conninfo("read")
        await migrate(database, "read")
        async with standby(primary, tmp_path / "standby") as copy, open_pool(database, 2) as pool:
            log = Written(ReadStore(pool), "opaque")
            heads = HeadListener(pool, database)
            running_heads = asyncio.create_task(heads.run(told.append))
            async with asyncio.timeout(PATIENCE_SECONDS), heads.subscribe() as subscription:
                await log.write(users(0, 10))
                assert await subscription.moved() == {1}
                heads._conninfo = copy.conninfo("read")  # what the same address leads to now
                await end_listeners(primary.conninfo("postgres", ADMIN))
                for start in (10, 20, 30):
                    await asyncio.sleep(1)
                    await log.write(users(start, start + 10))
                    assert await subscription.moved() == {1}
            assert not running_heads.done()
            running_heads.cancel()
            await asyncio.gather(running_heads, return_exceptions=True)
    assert not told  # a standby is no failure


async def test_a_pool_tries_again_and_again_while_the_database_is_away() -> None:
    attempts, enough = 0, asyncio.Event()

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 12:  # with waits that double, after half an hour
            enough.set()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_pool(f"host=127.0.0.1 port={port} dbname=x user=x sslmode=disable", 1):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await enough.wait()


@pytest.mark.parametrize("kind", ["serve", "mint", "mirror"])
async def test_a_server_outlives_a_hangup_at_any_time(site: Site, read_db: str, tmp_path: Path, kind: str) -> None:
    world = register("registers.test/thing", 20)
    async with serve(world) as source:
        config = mirror_config(tmp_path, read_db, [source], world)
        address = f"127.0.0.1:{free_port()}"
        mint = f'[mint]\ndatabase = "{site.database}"\nkeys = "{site.keys}"\ntokens = "{site.tokens}"'
        listen = f'listen = "{address}"\n'
        api = f'[api]\ndatabase = "{read_db}"'
        config.write_text(f"{mint}\n{listen}{api}\n{listen}{config.read_text()}{listen}")
        async with process(kind, "--config", str(config)) as server:
            await until_listening(address)
            for _ in range(2):
                server.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.3)
                await until_listening(address)
            assert server.returncode is None


def test_up_passes_a_hangup_on_and_goes_on(tmp_path: Path) -> None:
    with up(tmp_path / "up", "--no-samples") as deployment:
        deployment.process.send_signal(signal.SIGHUP)
        assert deployment.run("create", "thing").returncode == 0
        assert deployment.process.poll() is None


async def until_size(client: httpx.AsyncClient, size: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await client.get("/thing/log/checkpoint")).text.split("\n")[1] != str(size):  # noqa: ASYNC110  # a server
            await asyncio.sleep(0.1)


async def end_listeners(admin: str) -> None:
    query = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'"
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
        await conn.execute(query)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "mintmark", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ,
    )
    try:
        yield server
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


async def until_listening(address: str) -> None:
    host, _, port = address.partition(":")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
