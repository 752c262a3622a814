"""Every Postgres from 14 on that is here: the schema, the statements and the oracle hold on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.postgres.binaries import all_binaries, find_binaries
from mintmark.postgres.server import EmbeddedServer
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.logs import Written, erasures, users
from tests.support.oracle import check_log

if TYPE_CHECKING:
    from pathlib import Path

MAJORS = sorted({found.major for found in all_binaries()})


@pytest.mark.parametrize("major", MAJORS)
async def test_both_schemas_and_a_log_of_each_kind(tmp_path: Path, major: int) -> None:
    server = EmbeddedServer(tmp_path / "p", programs=find_binaries(major))
    await server.start(["mint", "read"])
    try:
        await migrate(server.conninfo("mint"), "mint")
        await migrate(server.conninfo("read"), "read")
        async with open_pool(server.conninfo("read"), 2) as pool:
            for kind in ("opaque", "register"):
                log = Written(ReadStore(pool), kind, f"store.example/{kind}")
                for start in range(0, 900, 300):
                    await log.write(users(start, start + 300))
                await log.write(erasures(5) if kind == "register" else users(900, 901))
                assert await check_log(server.conninfo("read"), log.origin, log.world.verifiers) == 901
    finally:
        await server.stop()
