"""Incident 29: a corrupt index, or stuck client state (immudb#1997).

The read database is disposable: it can be made again from a source, row for row. A client's state that is damaged is
refused in one sentence that names the way out, and the way out works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import Misconfigured
from mintmark.mirror.catch_up import CatchUp
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.commands import Result, spawn
from tests.support.places import LiveWorld, add_records, follower, mirror, register, rows
from tests.support.world import flip, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COPIED = ("log", "tile", "bundle", "entry", "v1_tile")


async def test_a_read_database_that_is_thrown_away_comes_back_row_for_row(
    new_database: Callable[[str], str], check_log: Callable[..., Any]
) -> None:
    world, copies, heads = register(count=700), [], []
    add_records(world, 900)
    for step in ("at once", "in two steps"):
        database = new_database("read")
        async with open_pool(database, 2) as pool:
            store = ReadStore(pool)
            if step != "at once":
                assert await follower(store, world).step(world, world.notes[0], "register")
            await mirror(store, world)
            found = await rows(store, *COPIED)
            copies.append({**found, "log": [row[:5] for row in found["log"]]})
            heads.append([row[:4] for row in (await rows(store, "head"))["head"]])
        assert await check_log(database, world.origin, world.verifiers) == world.size
    assert copies[0] == copies[1]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("table", ["tile", "progress"])
async def test_a_mirror_whose_own_copy_is_damaged_says_so_and_blames_nobody(read_store: ReadStore, table: str) -> None:
    world = register(count=300)
    await mirror(read_store, world)
    add_records(world, 100)
    damage = {
        "tile": "update tile set hashes = set_byte(hashes, 3, get_byte(hashes, 3) # 1) where level = 0 and index = 1",
        "progress": "update progress set note = set_byte(note, 30, get_byte(note, 30) # 1)",
    }
    async with read_store.pool.connection() as conn:
        await conn.execute(damage[table].encode())
    with pytest.raises(Misconfigured, match="run mintmark fsck"):
        await CatchUp(read_store, world.origin, world.verifiers).step(world, world.notes[-1], "register")
    assert await read_store.evidence.of_log(1) == []
    assert (await read_store.head(1)).size == 300


async def audit(world: LiveWorld, state: Path, *more: object) -> Result:
    async with serve(world) as address:
        return await spawn("audit", "thing", "--grpc", address, "--vkey", world.signer.vkey, "--state", state, *more)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "another log's"])
async def test_an_audits_damaged_state_is_refused_and_another_can_be_begun(tmp_path: Path, damage: str) -> None:
    world, state = register(count=300), tmp_path / "thing.checkpoint"
    assert (await audit(world, state)).code == 0
    good = state.read_bytes()
    bad = {
        "flipped": flip(good, len(good) - 20),
        "cut": good[:40],
        "empty": b"",
        "another log's": register("world.example/other").notes[0],
    }
    state.write_bytes(bad[damage])
    add_records(world, 100)
    refused = await audit(world, state)
    assert refused.code in (1, 3)
    assert str(state) in refused.err
    assert "--state" in refused.err
    assert "Traceback" not in refused.err
    assert state.read_bytes() == bad[damage], "what was found is left for whoever wants to know"
    begun = await audit(world, tmp_path / "new.checkpoint", "--full")
    assert begun.code == 0, begun.err
    state.write_bytes(good)
    assert (await audit(world, state)).code == 0
