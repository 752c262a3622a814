"""Silence is never called current: the mirror killed, the mint down, its database gone, the mint refusing to sign.

The mint, Postgres, gRPC and the commands are the real ones; what each case breaks comes back by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from psycopg.conninfo import conninfo_to_dict

from mintmark.api.server import opened
from mintmark.cli import exits
from mintmark.config.trust_store import TrustStore
from mintmark.mint.server import running_mint
from mintmark.mirror.server import serve_mirror
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT
from tests.support.commands import free_address, spawn
from tests.support.mint_site import LIGHTHOUSE, THINGS, create, put
from tests.support.read_api import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from mintmark.store.mirror.model import LogStatus
    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.mint_site import Site
    from tests.support.postgres import TestPostgres

pytestmark = pytest.mark.e2e
FRESH_SECONDS = 4.0  # that a source's word holds in these tests


class Setting:
    """A mint and a mirror of its logs, each at an address of its own, which can be started and stopped."""

    def __init__(self, site: Site, read_db: str, directory: Path) -> None:
        self.site, self.mint, self.mirror = site, free_address(), free_address()
        trust = directory / "trust"
        trust.mkdir()
        for name, signer in site.signers.items():
            (trust / f"{name.rpartition('/')[2]}.vkey").write_text(f"{signer.vkey}\n")
        self.config = directory / "mirror.toml"
        values = {"database": read_db, "sources": [self.mint], "trust": str(trust), "listen": self.mirror}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items()]
        self.config.write_text("[mirror]\nfresh_for = 5\n" + "".join(lines))
        self.read_db = read_db

    @asynccontextmanager
    async def minting(self) -> AsyncIterator[None]:
        async with running_mint(self.site.database, self.mint, self.site.keys, self.site.tokens):
            yield

    @asynccontextmanager
    async def mirroring(self) -> AsyncIterator[None]:
        serving = serve_mirror(self.read_db, TrustStore(self.config), listen=self.mirror, fresh_for=FRESH_SECONDS)
        task = asyncio.create_task(serving)
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def status(self) -> tuple[int, dict[str, Any], str]:
        """The exit code of `mintmark status`, each log by its origin, and the words."""
        told = await spawn("status", "--config", self.config, "--json")
        words = await spawn("status", "--config", self.config)
        assert told.code == words.code, words
        return told.code, {log["origin"]: log for log in json.loads(told.out)["logs"]}, words.out


@pytest.fixture
async def setting(site: Site, read_db: str, tmp_path: Path) -> Setting:
    (tmp_path / "mirror").mkdir()
    async with site.running() as client:
        await create(client)
        await put(client, [b"one", b"two"])
    return Setting(site, read_db, tmp_path / "mirror")


async def until(store: ReadStore, true: Callable[[LogStatus], bool], count: int = 3) -> None:
    """Waits until it is so for so many of the three logs."""
    async with asyncio.timeout(90):
        while sum(map(true, await store.status.of_logs())) != count:  # noqa: ASYNC110  # a database
            await asyncio.sleep(0.1)


def fresh(status: LogStatus) -> bool:
    return status.fresh and status.head >= status.offered


async def health(address: str, service: str = "") -> int:
    """The state that a server's health service gives; 0 where it does not answer."""
    async with grpc.aio.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
        try:
            return int((await check(health_pb2.HealthCheckRequest(service=service), timeout=10)).status)
        except grpc.aio.AioRpcError:
            return 0


async def until_health(address: str, state: int, service: str = "") -> None:
    async with asyncio.timeout(90):
        while await health(address, service) != state:  # noqa: ASYNC110  # a server
            await asyncio.sleep(0.2)


def gauge(name: str, origin: str = "") -> float:
    value = REGISTRY.get_sample_value(f"mintmark_{name}", {"origin": origin})
    assert value is not None
    return value


SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def assert_unknown(setting: Setting, store: ReadStore, *origins: str) -> None:
    """What is said of these logs, and of the others, wherever it is said."""
    code, logs, words = await setting.status()
    assert code == exits.NOT_YET
    unknown = {origin for origin, log in logs.items() if log["state"] == "unknown"}
    assert unknown == set(origins)
    assert all(logs[origin]["lag"] is None for origin in origins)
    assert words.count("unknown since 20") == len(origins)
    async with opened(setting.read_db, {}) as app, connect(app) as client:
        for origin in origins:
            answer = await client.get(f"/{origin.rpartition('/')[2]}/log/checkpoint")
            assert answer.headers["mintmark-freshness"].startswith("unknown; since=20")


async def test_the_mirror_is_killed(setting: Setting, read_store: ReadStore) -> None:
    command = (sys.executable, "-P", "-m", "mintmark", "mirror", "--config", str(setting.config))
    async with setting.minting():
        for _ in range(2):
            process = await asyncio.create_subprocess_exec(*command, env=os.environ)
            try:
                await until(read_store, fresh)
                code, logs, _ = await setting.status()
                assert (code, logs[THINGS]["state"], logs[THINGS]["lag"]) == (exits.OK, "current", 0)
            finally:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            await until(read_store, lambda status: not status.fresh)
            await assert_unknown(setting, read_store, *logs)


async def test_the_mint_is_down(setting: Setting, read_store: ReadStore) -> None:
    async with setting.mirroring():
        for _ in range(2):
            async with setting.minting():
                await until(read_store, fresh)
                await until_health(setting.mirror, SERVING)
                code, logs, _ = await setting.status()
                assert (code, {log["state"] for log in logs.values()}) == (exits.OK, {"current"})
                assert gauge("mint_serving") == 1
                assert gauge("mint_unconfirmed_logs") == 0
                assert gauge("mirror_lag_entries", THINGS) == 0
                assert gauge("mirror_confirmation_age_seconds", THINGS) < inf
            await until(read_store, lambda status: not status.fresh)
            await until_health(setting.mirror, NOT_SERVING, "mintmark.v1.Log")
            assert gauge("mirror_confirmation_age_seconds", THINGS) > FRESH_SECONDS
        await assert_unknown(setting, read_store, *logs)


async def test_the_mints_database_is_gone(setting: Setting, read_store: ReadStore, postgres: TestPostgres) -> None:
    database = conninfo_to_dict(setting.site.database)["dbname"]
    async with setting.minting(), setting.mirroring():
        await until(read_store, fresh)
        await until_health(setting.mint, SERVING, "mintmark.v1.Mint")
        postgres.execute(f"alter database {database} allow_connections false")
        postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")
        await until_health(setting.mint, NOT_SERVING)
        await until(read_store, lambda status: not status.fresh)
        await until_health(setting.mirror, NOT_SERVING)
        await assert_unknown(setting, read_store, *setting.site.signers)
        postgres.execute(f"alter database {database} allow_connections true")
        await until_health(setting.mint, SERVING)
        await until(read_store, fresh)


async def test_the_mints_database_takes_no_writes(
    setting: Setting, read_store: ReadStore, postgres: TestPostgres
) -> None:
    """As a standby: every head can be read, and none can move."""
    database = conninfo_to_dict(setting.site.database)["dbname"]
    ends = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
    async with setting.minting(), setting.mirroring():
        await until(read_store, fresh)
        postgres.execute(f"alter database {database} set default_transaction_read_only = on")
        postgres.execute(ends)
        await until_health(setting.mint, NOT_SERVING)
        await until(read_store, lambda status: not status.fresh)
        postgres.execute(f"alter database {database} reset default_transaction_read_only")
        postgres.execute(ends)
        await until(read_store, fresh)


async def test_the_mint_refuses_to_sign(setting: Setting, read_store: ReadStore) -> None:
    """One log's mark says that more was signed than its database has. Its others are current."""
    mark = setting.site.keys / "things.mark"
    before = mark.read_bytes()
    signed = sign_checkpoint(THINGS, 900, EMPTY_ROOT, [setting.site.signers[THINGS]]).note
    async with setting.mirroring():
        async with setting.minting():
            await until(read_store, fresh)
        mark.write_bytes(signed)
        async with setting.minting():
            await until(read_store, fresh, 2)
            await until(read_store, lambda status: status.fresh and status.origin != THINGS, 2)
            await assert_unknown(setting, read_store, THINGS)
            assert await health(setting.mint) == SERVING, "it signs for the others"
            mark.write_bytes(before)
            await until(read_store, fresh)


async def test_a_mint_that_can_sign_for_no_log_does_not_serve(setting: Setting, read_store: ReadStore) -> None:
    for file in setting.site.keys.glob("*.key"):
        file.rename(file.with_suffix(".away"))
    async with setting.minting(), setting.mirroring():
        await until_health(setting.mint, NOT_SERVING, "mintmark.v1.Mint")
        await until(read_store, lambda status: status.head >= 0)
        await assert_unknown(setting, read_store, *setting.site.signers)
        for file in setting.site.keys.glob("*.away"):
            file.rename(file.with_suffix(".key"))
        await until_health(setting.mint, SERVING, "mintmark.v1.Mint")
        await until(read_store, fresh)
    assert LIGHTHOUSE in setting.site.signers
