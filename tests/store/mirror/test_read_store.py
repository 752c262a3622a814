"""The read store on a real Postgres: all of a batch or nothing, whatever breaks, by any number of workers."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.errors import Conflict, MintmarkError, Misconfigured, NotAvailableYet, Unavailable
from mintmark.register.reduce import project
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror import commit
from mintmark.store.mirror.commit import MAX_INSERT_ENTRIES
from mintmark.store.mirror.model import Committed
from mintmark.store.mirror.read_store import ReadStore
from tests.support.logs import Written, erasures, users
from tests.support.oracle import check_log
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ["opaque", "register"]


@pytest.fixture(params=KINDS)
def log(request: pytest.FixtureRequest, read_store: ReadStore) -> Written:
    return Written(read_store, request.param)


async def checked(log: Written, conninfo: str) -> int:
    return await check_log(conninfo, log.origin, log.world.verifiers)


async def test_what_is_integrated_is_what_was_verified(log: Written, read_db: str) -> None:
    for start, stop in [(0, 1), (1, 255), (255, 256), (256, 257), (257, 1000), (1000, 1792)]:
        await log.write(users(start, stop))
        assert await checked(log, read_db) == stop
    head = await log.store.head(1)
    assert (head.size, head.root, head.note) == (1792, log.world.edge.root(), log.world.notes[-1])


async def test_rows_do_not_depend_on_how_the_log_was_cut_into_batches(
    new_database: Callable[[str], str], read_db: str
) -> None:
    """The same log in three databases, written in different steps."""
    records = users(0, 900)
    kept = []
    for seed in range(3):
        chosen = random.Random(seed)
        steps = sorted({0, 900, *chosen.sample(range(1, 900), seed * 5)})
        async with open_pool(new_database("read"), 2) as pool:
            log = Written(ReadStore(pool), "register")
            for start, stop in itertools.pairwise(steps):
                await log.write(records[start:stop])
            kept.append(await everything(log.store))
    assert kept[0] == kept[1] == kept[2]


async def everything(store: ReadStore) -> list[object]:
    async with store.pool.connection() as conn:
        queries = ["select * from tile", "select * from bundle", "select * from entry", "select * from v1_tile"]
        return [await (await conn.execute(f"{query} order by 1, 2, 3".encode())).fetchall() for query in queries]


@pytest.mark.parametrize("deliver", [False, True], ids=["failed", "failed-but-done"])
@pytest.mark.parametrize("count", [300, MAX_INSERT_ENTRIES + 1])
async def test_a_connection_cut_at_any_request_leaves_all_of_a_batch_or_nothing(
    log: Written, read_db: str, count: int, deliver: bool
) -> None:
    await log.write(users(0, 300))
    if log.kind == "register":
        await log.write([*erasures(5), *users(301, 310)])
    async with Wire(read_db).open() as wire, open_pool(wire.conninfo, 1) as pool:
        store = ReadStore(pool)
        for request in range(100):
            before = log.world.size
            batch = await log.grow(
                [*users(before, before + count), *(erasures(before) if log.kind == "register" else ())]
            )
            await store.logs()  # a connection is there
            wire.arm(request, deliver=deliver)
            if not await survives(store, log, batch, before, read_db):
                break
            await log.go_on(batch)
            assert await checked(log, read_db) == log.world.size
        else:
            pytest.fail("a batch has fewer requests than this")
        assert request >= 4


async def survives(store: ReadStore, log: Written, batch: object, before: int, conninfo: str) -> bool:
    """Integrates through the wire, and once more if it was cut; whether it was."""
    try:
        await store.commit_batch(batch)
    except Unavailable:
        size = (await log.store.progress(log.origin)).size
        assert size in (before, log.world.size)
        assert await checked(log, conninfo) == size
        if size == before:
            assert (await store.commit_batch(batch)).shown
        else:
            with pytest.raises(Conflict):
                await store.commit_batch(batch)
        return True
    return False


async def test_of_two_workers_at_once_one_writes_and_the_other_is_told(log: Written, read_db: str) -> None:
    for start in range(0, 2000, 250):
        batch = await log.grow(users(start, start + 250))
        done = await asyncio.gather(*(log.store.commit_batch(batch) for _ in range(3)), return_exceptions=True)
        shown = [result.shown for result in done if isinstance(result, Committed)]
        assert (shown, sum(isinstance(result, Conflict) for result in done)) == ([True], 2)
        await log.go_on(batch)
        assert await checked(log, read_db) == start + 250


async def test_a_log_that_was_stopped_takes_nothing_more_until_it_is_resumed(log: Written, read_db: str) -> None:
    await log.write(users(0, 10))
    batch = await log.grow(users(10, 20))
    await log.store.evidence.contradict(batch.log, Conflict("why"), "source:1", stop=True)
    with pytest.raises(Conflict):
        await log.store.commit_batch(batch)
    assert await checked(log, read_db) == 10
    await log.store.evidence.resume(batch.log)
    assert (await log.store.commit_batch(batch)).shown
    assert await checked(log, read_db) == 20


async def test_a_last_bundle_that_was_lost_is_noticed_and_nothing_is_written(log: Written) -> None:
    await log.write(users(0, 10))
    batch = await log.grow(users(10, 20))
    async with log.store.pool.connection() as conn:
        await conn.execute("update bundle set width = 9")
    damage = "bundle 0 of log 1 does not hold the 10 entries that were stored; run mintmark fsck"
    with pytest.raises(MintmarkError, match=damage):
        await log.store.commit_batch(batch)
    assert (await log.store.progress(log.origin)).size == 10
    assert (await log.store.head(1)).size == 10


@pytest.mark.parametrize("table", ["entry", "bundle", "tile"])
async def test_a_row_that_is_there_already_is_damage_and_nothing_is_written(read_store: ReadStore, table: str) -> None:
    log = Written(read_store, "opaque")
    await log.write(users(0, 256))
    strays = {
        "entry": "insert into entry (log, index, leaf_hash) values (1, 300, '')",
        "bundle": "insert into bundle (log, index, width, entries, items) values (1, 1, 1, '', '')",
        "tile": "insert into tile select log, level, 1, width, hashes from tile where level = 0",
    }
    async with log.store.pool.connection() as conn:
        await conn.execute(strays[table].encode())
    with pytest.raises(psycopg.errors.UniqueViolation):
        await log.store.commit_batch(await log.grow(users(256, 400)))
    assert (await log.store.progress(log.origin)).size == 256


async def test_a_log_that_was_forgotten_meanwhile_is_a_conflict(log: Written) -> None:
    await log.write(users(0, 10))
    batch = await log.grow(users(10, 20))
    async with log.store.pool.connection() as conn:
        await conn.execute("delete from log")
    with pytest.raises(Conflict):
        await log.store.commit_batch(batch)


@pytest.mark.parametrize("start", [0, 2**15 - 10, 2**31 - 10, 2**32 - 10, 2**63 - 101])
async def test_a_few_leaves_count_on_at_any_size(read_store: ReadStore, start: int) -> None:
    async with read_store.pool.connection() as conn:
        await commit.insert_leaves(conn, 1, [(start, bytes(range(100)) * 32)])
        rows = await (await conn.execute("select index, leaf_hash from entry order by index")).fetchall()
    assert rows == [(start + at, (bytes(range(100)) * 32)[32 * at : 32 * at + 32]) for at in range(100)]


async def test_the_head_waits_for_the_end_of_what_was_signed(log: Written, read_db: str) -> None:
    batch = await log.grow(users(0, 600))
    assert not (await log.store.commit_batch(replace(batch, head=None))).shown
    await log.go_on(batch)
    with pytest.raises(NotAvailableYet):
        await log.store.head(batch.log)
    assert (await log.store.progress(log.origin)).shown == -1
    rest = replace(
        batch, old_size=600, chunks=[], rows=None if batch.rows is None else project(log.v1, []), live=log.live
    )
    assert (await log.store.commit_batch(rest)).shown
    assert await checked(log, read_db) == 600


async def test_an_item_is_erased_from_bundles_and_rows_and_its_proof_stays(read_store: ReadStore, read_db: str) -> None:
    log = Written(read_store, "register")
    await log.write([*users(0, 300), *erasures(3, 299)])
    await log.write([*users(302, 400), *erasures(256, 399)])
    assert await checked(log, read_db) == 402
    async with read_store.pool.connection() as conn:
        rows = await (
            await conn.execute("select index from entry where item is null and item_hash is not null")
        ).fetchall()
    assert sorted(index for (index,) in rows) == [3, 256, 299, 399]


async def test_an_erasure_of_a_later_entry_erases_nothing(read_store: ReadStore, read_db: str) -> None:
    log = Written(read_store, "register")
    await log.write(erasures(1))
    await log.write(users(1, 5))
    assert await checked(log, read_db) == 5
    assert await read_store.withheld.first(1) is None


async def test_of_two_logs_with_one_name_the_second_is_refused_with_the_fix(read_store: ReadStore) -> None:
    await read_store.follow("a.example/country", "opaque")
    with pytest.raises(Misconfigured, match="another log here is named 'country'; exclude one of them"):
        await read_store.follow("b.example/country", "opaque")


async def test_many_workers_begin_a_log_once(read_store: ReadStore) -> None:
    begun = await asyncio.gather(*(read_store.follow("a.example/x", "opaque") for _ in range(8)))
    assert {progress.id for progress in begun} == {begun[0].id}


async def test_a_lease_is_one_worker_s_until_it_runs_out(read_store: ReadStore) -> None:
    log = (await read_store.follow("a.example/x", "opaque")).id
    claims = await asyncio.gather(*(read_store.leases.claim(log, f"w{n}", 60) for n in range(4)))
    assert claims.count(0) == 1
    assert max(claims) <= 60
    mine = f"w{claims.index(0)}"
    assert await read_store.leases.claim(log, mine, 0.001) == 0
    await asyncio.sleep(0.01)
    assert await read_store.leases.claim(log, "other", 60) == 0


async def test_a_database_that_is_gone_is_unavailable(read_db: str) -> None:
    async with Wire(read_db).open() as wire, open_pool(wire.conninfo, 1) as pool:
        store = ReadStore(pool)
        await store.logs()
        wire.arm(0, deliver=False)
        with pytest.raises(Unavailable, match="the database cannot be reached"):
            await store.logs()
        assert await store.logs() == []


async def test_connections_that_a_restart_ended_are_not_given_out(read_db: str, postgres: object) -> None:
    async with open_pool(read_db, 3) as pool:
        store = ReadStore(pool)
        await asyncio.gather(*(store.logs() for _ in range(9)))
        postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'mintmark'")
        await asyncio.sleep(0.2)
        for _ in range(9):
            assert await store.logs() == []
