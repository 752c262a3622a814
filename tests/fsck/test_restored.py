"""A database that was restored as docs/operations.md says is no damaged one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.fsck.check import check_log
from mintmark.fsck.findings import check_strays
from mintmark.mint.catch_up import catch_up
from mintmark.mint.keys import KeyDirectory
from mintmark.sources.grpc import GrpcSource
from mintmark.store.connection.pool import open_pool
from mintmark.store.fsck.transactions import reading
from mintmark.store.mint.mint_store import MintStore
from tests.mint.test_catch_up import ORIGINS, fill, go_on
from tests.support.lights import append, lights
from tests.support.mint_site import SALTED, copied, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.mint_site import Site
    from tests.support.postgres import TestPostgres


@pytest.mark.parametrize("lost", [False, True], ids=["restored", "lost"])
async def test_a_mint_that_was_restored_and_caught_up_has_no_damage(
    site: Site, postgres: TestPostgres, new_database: Callable[[str], str], lost: bool
) -> None:
    async with site.running() as client:
        await fill(client)
    restored = new_database("mint") if lost else copied(postgres, site.database)
    if not lost:
        assert await damages(site, restored) == []  # as it was when it was backed up
    async with site.running() as client:
        await go_on(client)
        async with open_pool(restored, 2) as pool, GrpcSource(client.address) as source:
            for origin in ORIGINS:
                await catch_up(MintStore(pool), KeyDirectory(site.keys), origin, source, salted=origin == SALTED)
    assert await damages(site, restored) == []
    async with site.running(database=restored) as client:  # and after it went on
        await put(client, [b"%d" % number for number in range(300)])
        await append(client, lights(900, 1200))
        await put(client, [b"last"])
    assert await damages(site, restored) == []
    if not lost:
        postgres.drop(str(conninfo_to_dict(restored)["dbname"]))


async def damages(site: Site, database: str) -> list[str]:
    """All that fsck finds in a mint's database."""
    found = []
    async with open_pool(database, 2) as pool:
        async with reading(pool) as store:
            logs = await store.logs()
            found += list(map(str, await check_strays(store)))
        for log in logs:
            async with reading(pool) as store:
                found += list(map(str, (await check_log(store, log, site.verifiers(log.origin))).damages))
    return found
