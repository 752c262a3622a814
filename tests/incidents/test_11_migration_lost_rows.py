"""Incident 11: a migration lost rows (Oak, 2022).

Every migration and every restore ends in a full fsck, and rows that were dropped fail it, whichever they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.fsck.check import CheckResult, check_log
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.fsck.transactions import reading
from mintmark.store.mirror.read_store import ReadStore
from tests.support.places import add_records, mirror, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.world import World

# What a copy may leave out: some rows of a table, its last ones, a whole table.
DROPPED = {
    "one of the bundles": ("bundle", "index = 1"),
    "the last bundle": ("bundle", "index = (select max(index) from bundle)"),
    "a full tile": ("tile", "level = 0 and index = 1"),
    "the tile above": ("tile", "level = 1"),
    "a row": ("entry", "index = 400"),
    "the last rows": ("entry", "index > 690"),
    "all rows": ("entry", "true"),
    "a v1 tile": ("v1_tile", "level = 0 and index = 0"),
}
COPIED = ["log", "head", "tile", "bundle", "progress", "checkpoint", "entry", "missing", "v1_tile"]


async def checked(database: str, world: World) -> CheckResult:
    async with open_pool(database, 2) as pool, reading(pool) as snapshot:
        (log,) = await snapshot.logs()
        return await check_log(snapshot, log, world.verifiers)


async def mirrored(database: str) -> World:
    """A read database with a register of seven hundred entries."""
    world = register(count=600)
    add_records(world, 100)
    async with open_pool(database, 2) as pool:
        await mirror(ReadStore(pool), world)
    return world


async def restore(old: str, new: str, without: tuple[str, str] | None = None) -> None:
    """Copies every row of one database into another, as a dump and a restore do, but for some."""
    async with (
        await psycopg.AsyncConnection.connect(old) as source,
        await psycopg.AsyncConnection.connect(new) as target,
    ):
        for table in COPIED:
            where = f"where not ({without[1]})" if without and without[0] == table else ""
            async with (
                source.cursor().copy(f"copy (select * from {table} {where}) to stdout".encode()) as out,
                target.cursor().copy(f"copy {table} from stdin".encode()) as into,
            ):
                async for data in out:
                    await into.write(data)
        await target.commit()


async def test_a_restore_that_is_whole_passes(read_db: str, new_database: Callable[[str], str]) -> None:
    world, new = await mirrored(read_db), new_database("read")
    await restore(read_db, new)
    await migrate(new, "read")
    found = await checked(new, world)
    assert (found.damages, found.size, found.upto) == ([], world.size, world.size)


@pytest.mark.parametrize("what", DROPPED)
async def test_a_restore_that_lost_rows_fails(read_db: str, new_database: Callable[[str], str], what: str) -> None:
    world, new = await mirrored(read_db), new_database("read")
    await restore(read_db, new, DROPPED[what])
    await migrate(new, "read")
    found = [str(damage) for damage in (await checked(new, world)).damages]
    assert any(f": {DROPPED[what][0]} " in damage for damage in found), found


async def test_a_migration_that_is_run_again_changes_no_row(read_db: str) -> None:
    world = await mirrored(read_db)
    async with await psycopg.AsyncConnection.connect(read_db) as conn:
        sums = "select " + ", ".join(
            f"(select md5(string_agg(t::text, '' order by t::text)) from {n} t)" for n in COPIED
        )
        before = await (await conn.execute(sums.encode())).fetchone()
        await conn.rollback()
        await migrate(read_db, "read")
        assert await (await conn.execute(sums.encode())).fetchone() == before
    assert (await checked(read_db, world)).damages == []
