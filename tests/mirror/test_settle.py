"""A catch-up ends settled: pending lists of GIN indexes are merged and tables analysed, beside all other work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.mirror.catch_up import SETTLE_ENTRIES
from mintmark.mirror.run_once import once
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.settle import Settler
from tests.support.places import register, worker

if TYPE_CHECKING:
    from mintmark.store.connection.pool import Pool
    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.postgres import TestPostgres

ANALYSED = "select last_analyze is not null from pg_stat_user_tables where relname = 'entry'"
PENDING_PAGES = "select gin_clean_pending_list('entry_word') + gin_clean_pending_list('entry_value')"


async def settled(pool: Pool) -> tuple[bool, int]:
    """True if the entries were analysed, and how many pages were pending."""
    return (await pool.fetch(ANALYSED))[0][0], (await pool.fetch(PENDING_PAGES))[0][0]


@pytest.mark.parametrize("long", [True, False])
async def test_a_long_catch_up_ends_settled(read_store: ReadStore, long: bool) -> None:
    world = register(count=SETTLE_ENTRIES if long else 500)
    (result,) = await once(worker(read_store, [world], world), 60)
    assert result.done
    analysed, pending = await settled(read_store.pool)
    assert (analysed, pending == 0) == (long, long)


async def test_several_catch_ups_that_end_together_are_settled_once(read_store: ReadStore) -> None:
    settler = Settler(read_store.pool)
    for _ in range(5):
        settler.start()
    await settler.finish()
    query = "select analyze_count from pg_stat_user_tables where relname = 'entry'"
    assert await read_store.pool.fetch(query) == [(1,)]


async def test_who_is_not_the_owner_settles_nothing_and_goes_on(
    read_db: str, read_store: ReadStore, postgres: TestPostgres
) -> None:
    postgres.role("writer")
    await read_store.pool.execute("grant usage on schema mintmark to writer")
    await read_store.pool.execute("grant select, insert, update, delete on all tables in schema mintmark to writer")
    name = str(conninfo_to_dict(read_db)["dbname"])
    async with open_pool(postgres.server.conninfo(name, "writer"), 1) as pool:
        settler = Settler(pool)
        settler.start()
        await settler.finish()
    assert (await settled(read_store.pool))[0] is False
