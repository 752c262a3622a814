"""Incident 3: served data flipped (Nimbus, 2018).

Any stored bit of any tile, bundle, item or row: `fsck` names it, and a mirror that is served it stores nothing of it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from mintmark.errors import MintmarkError
from mintmark.fsck.check import CheckResult, check_log
from mintmark.mirror.run_once import once
from mintmark.store.connection.pool import open_pool
from mintmark.store.fsck.transactions import reading
from mintmark.store.mirror.read_store import ReadStore
from tests.support.places import TABLES, add_records, mirror, register, rows, served, worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.world import World

FLIPS = 150
BYTES = {
    "head": ("root", "note"),
    "tile": ("hashes",),
    "bundle": ("entries", "items"),
    "checkpoint": ("note",),
    "progress": ("note",),
    "entry": ("leaf_hash", "item_hash"),
    "v1_tile": ("hashes",),
}
# Of rows that are no bytes: another value in the place of what stands there.
OTHERS = {
    "entry": {
        "key": "key || 'x'",
        "timestamp": "'2025-12-31T23:59:59Z'",
        "type": "'system'",
        "item": 'item || \'{"thing":"other"}\'',
        "superseded_by": "superseded_by + 1",
        "number": "number + 1",
        "live": "live - 1",
    },
    "head": {"size": "size - 1"},
    "tile": {"width": "width - 1, hashes = substr(hashes, 1, 32 * (width - 1))"},
    "bundle": {"width": "width - 1"},
}


async def checked(store: ReadStore, world: World) -> CheckResult:
    """What fsck says of the log."""
    async with reading(store.pool) as snapshot:
        (log,) = await snapshot.logs()
        return await check_log(snapshot, log, world.verifiers)


def things() -> World:
    world = register(count=600)
    add_records(world, 100)
    return world


async def damaged(conn: psycopg.AsyncConnection[Any], chance: random.Random) -> str:
    """Flips one random bit of one random row; of which table."""
    table = chance.choice(list(BYTES))
    column = chance.choice(BYTES[table])
    found = await (await conn.execute(f"select ctid, octet_length({column}) from {table}".encode())).fetchall()
    place, length = chance.choice([(place, length) for place, length in found if length])
    at, bit = chance.randrange(length), 1 << chance.randrange(8)
    flipped = (
        f"update {table} set {column} = set_byte({column}, {at}, get_byte({column}, {at}) # {bit}) where ctid = %s"
    )
    await conn.execute(flipped.encode(), (place,))
    return table


async def test_any_flipped_bit_is_named(read_store: ReadStore) -> None:
    world, chance = things(), random.Random(3)
    await mirror(read_store, world)
    assert (await checked(read_store, world)).damages == []
    async with read_store.pool.connection() as conn:
        for _ in range(FLIPS):
            before = await rows(read_store)
            table = await damaged(conn, chance)
            after = await rows(read_store)
            (changed,) = [name for name in TABLES if before[name] != after[name]]
            assert changed == table
            found = (await checked(read_store, world)).damages
            assert table in {damage.table for damage in found}, (table, [str(damage) for damage in found])
            await restore(conn, table, before[table])
    assert (await checked(read_store, world)).damages == []


async def restore(conn: psycopg.AsyncConnection[Any], table: str, before: list[tuple[Any, ...]]) -> None:
    """Puts the rows of a table back."""
    cursor = await conn.execute(f"select * from {table} limit 0".encode())
    names = [column.name for column in cursor.description or ()]
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.execute(f"delete from {table}".encode())
        places = ", ".join(["%s"] * len(names))
        await cursor.executemany(
            f"insert into {table} ({', '.join(names)}) values ({places})".encode(),
            [[psycopg.types.json.Jsonb(v) if isinstance(v, dict) else v for v in row] for row in before],
        )


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in OTHERS for column in OTHERS[table]])
async def test_another_value_in_any_column_is_named(read_store: ReadStore, table: str, column: str) -> None:
    world = things()
    await mirror(read_store, world)
    one = f"where ctid = (select max(ctid) from {table} where {column} is not null)"
    async with read_store.pool.connection() as conn:
        changed = await conn.execute(f"update {table} set {column} = {OTHERS[table][column]} {one}".encode())
        assert changed.rowcount == 1
    found = (await checked(read_store, world)).damages
    assert table in {damage.table for damage in found}, [str(damage) for damage in found]


@pytest.mark.parametrize("column", ["bundle.entries", "bundle.items", "tile.hashes", "head.note"])
async def test_a_mirror_that_is_served_a_flipped_bit_stores_nothing_of_it(
    read_store: ReadStore, new_database: Callable[[str], str], column: str
) -> None:
    world, (table, name) = things(), column.split(".")
    await mirror(read_store, world)
    async with read_store.pool.connection() as conn:
        at = f"length({name}) - 30"
        await conn.execute(f"update {table} set {name} = set_byte({name}, {at}, get_byte({name}, {at}) # 4)".encode())
    async with open_pool(new_database("read"), 4) as pool, served(read_store) as source:
        store = ReadStore(pool)
        try:
            (reached,) = await once(worker(store, [source], world), 1)
            assert not reached.done
        except MintmarkError:
            pass
        assert not any((await rows(store, "head", "bundle", "tile", "entry", "checkpoint")).values())
