"""Incident 28: a follower stopped silently.

The alarm comes from data (how old the head is, how far behind it is, who lives), not from exit codes: a follower that
is stuck or gone says nothing, and is seen all the same.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from tests.support.commands import spawn
from tests.support.places import LiveWorld, add_records, mirror_config, register, until_shown, worker
from tests.support.world import Lie

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.world import World


async def told(database: str, directory: Path, *worlds: World) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `mintmark status --json` says: of each log by its origin, and of the workers' sources."""
    config = mirror_config(directory, database, ["127.0.0.1:9"], *worlds)
    result = await spawn("status", "--config", config, "--json")
    said = json.loads(result.out)
    return {log["origin"]: log for log in said["logs"]}, said["sources"]


async def test_a_follower_that_is_stuck_shows_as_behind_and_by_how_long(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    stuck, well = register("world.example/stuck"), register("world.example/well")
    running = asyncio.create_task(worker(read_store, [stuck, well], stuck, well).run())
    try:
        await until_shown(read_store, stuck, well)
        stuck.lie = Lie.WITHHOLD_ITEM  # says nothing wrong, and can never be completed
        for world in (stuck, well):
            add_records(world, 100)
        async with asyncio.timeout(20):
            while not await noticed(read_store, stuck, well):  # noqa: ASYNC110  # a database
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.1)
        logs, sources = await told(read_db, tmp_path, stuck, well)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (logs[well.origin]["state"], logs[well.origin]["lag"]) == ("current", 0)
    behind = logs[stuck.origin]
    assert (behind["state"], behind["head"], behind["known"], behind["lag"]) == ("behind", 300, 400, 100)
    assert behind["lag_seconds"] >= 1
    assert "withheld" in behind["error"]
    assert {source["source"] for source in sources} == {stuck.address, well.address}


async def noticed(store: ReadStore, stuck: World, well: World) -> bool:
    """Whether the one is complete, and something is said of the other."""
    status = {log.origin: log for log in await store.status.of_logs()}
    return status[well.origin].head == well.size and status[stuck.origin].error is not None


async def test_a_follower_that_is_gone_leaves_no_heartbeat_and_a_head_that_ages(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = LiveWorld()
    world.append([os.urandom(20) for _ in range(10)])
    running = asyncio.create_task(worker(read_store, [world], world).run())
    await until_shown(read_store, world)
    async with asyncio.timeout(10):
        while not await read_store.leases.beats():  # noqa: ASYNC110  # a database
            await asyncio.sleep(0.05)
    alive = await told(read_db, tmp_path, world)
    assert alive[1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not await read_store.leases.beats(), "one that ends says so"
    world.append([b"nobody comes for this"])
    assert not await read_store.evidence.of_log(1)
    async with read_store.pool.connection() as conn:  # an hour passes
        for table, column in (("heartbeat", "at"), ("head", "at"), ("progress", "at"), ("lease", "until")):
            await conn.execute(f"update {table} set {column} = {column} - interval '1 hour'".encode())
    logs, sources = await told(read_db, tmp_path, world)
    assert sources == [], "nobody lives"
    assert logs[world.origin]["worker"] is None
    assert logs[world.origin]["quiet_seconds"] > 3000
    assert logs[world.origin]["head_at"] < alive[0][world.origin]["head_at"]


async def known_lag(database: str, directory: Path, world: World) -> float:
    """The seconds behind, once a source has said what is newest."""
    async with asyncio.timeout(20):
        while (lag := (await told(database, directory, world))[0][world.origin]["lag_seconds"]) is None:  # noqa: ASYNC110  # a database
            await asyncio.sleep(0.1)
    return float(lag)


async def test_the_time_behind_counts_from_this_stop_and_not_from_an_earlier_one(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = register()
    running = asyncio.create_task(worker(read_store, [world], world).run())
    try:
        await until_shown(read_store, world)
        for again in range(2):
            world.lie = Lie.WITHHOLD_ITEM
            add_records(world, 100)
            async with asyncio.timeout(20):
                while (await read_store.status.of_logs())[0].error is None:  # noqa: ASYNC110  # a database
                    await asyncio.sleep(0.05)
            if again:
                break
            async with read_store.pool.connection() as conn:
                await conn.execute("update head set at = at - interval '2 hours'")
                await conn.execute("update progress set behind = behind - interval '1 hour'")
            assert await known_lag(read_db, tmp_path, world) > 3000
            world.lie = Lie.NOTHING
            async with read_store.pool.connection() as conn:  # a source that has the item heals it
                await conn.execute("update missing set by = 0")
            add_records(world, 1)
            await until_shown(read_store, world)
        assert 0 < await known_lag(read_db, tmp_path, world) < 60
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
