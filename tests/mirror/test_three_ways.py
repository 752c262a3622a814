"""The step as daemon, from cron and as a Lambda function: bounded runs end where the daemon does, byte for byte."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.mirror.run_once import once
from mintmark.sources.grpc import GrpcSource
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.mirror.test_worker import Down, Hung, same_log, working
from tests.support.commands import spawn
from tests.support.places import LiveWorld, add_records, mirror_config, register, run_once, until_shown, worker
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

RUN = 5.0  # seconds
ENTRIES = 200_000
SAME = {
    "log": "origin, name, kind, salted",
    "head": "size, root, note",
    "tile": "t",
    "bundle": "t",
    "entry": "t",
    "v1_tile": "t",
    "missing": "t",
    "checkpoint": "size, note",
    "progress": "size, note, pending, stopped, error",
}


async def invoke(database: str, sources: list[str], worlds: list[World], *events: str) -> list[dict[str, Any]]:
    """The answers of a container, started for these events and ended after the last was done."""
    environment = {
        "MINTMARK_MIRROR__DATABASE": database,
        "MINTMARK_MIRROR__SOURCES": json.dumps(sources),
        "MINTMARK_MIRROR__VKEYS": " ".join(world.signer.vkey for world in worlds),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.invoke", str(RUN), *events),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


async def digest(database: str) -> dict[str, str]:
    """A hash of every row, but for times, and for who wrote it."""
    found = {}
    async with open_pool(database, 1) as pool, pool.connection() as conn:
        for table, columns in SAME.items():
            query = (
                f"select md5(string_agg(md5(row({columns})::text), '' order by row({columns})::text)) from {table} t"
            )
            found[table] = (await (await conn.execute(query)).fetchone() or [""])[0]
    return found


@asynccontextmanager
async def large(count: int) -> AsyncIterator[tuple[World, str]]:
    world = register("world.example/large", 0)
    add_records(world, count, keys=count // 3)
    async with serve(world) as address:
        yield world, address


@pytest.mark.e2e
async def test_cron_and_lambda_end_where_the_daemon_does(new_database: Callable[[str], str], tmp_path: Path) -> None:
    daemon, cron, container = (new_database("read") for _ in range(3))
    async with large(ENTRIES) as (world, address):
        async with open_pool(daemon, 4) as pool, GrpcSource(address) as client:
            store = ReadStore(pool)
            async with working(worker(store, [client], world)):
                await until_shown(store, world, seconds=120)
        config = mirror_config(tmp_path, cron, [address], world)
        sizes = [0]
        while sizes[-1] < world.size:
            ended = await spawn("mirror", "--config", config, "--once", "--deadline", RUN - 3, "--json")
            said = json.loads(ended.out)
            assert ended.code == (0 if said["size"] == world.size else 4), ended.err
            assert said["size"] >= sizes[-1]
            sizes.append(said["size"])
            assert len(sizes) < 40
        answers = await invoke(container, [address], [world], "{}")
    assert all(answer["seconds"] < RUN for answer in answers)
    assert all(answer["kept"] for answer in answers[1:])
    expected = await digest(daemon)
    assert await digest(cron) == expected
    assert await digest(container) == expected


async def test_a_function_follows_the_logs_that_its_event_names(read_db: str) -> None:
    worlds = [register("world.example/one"), register("world.example/two")]
    async with serve(worlds[0]) as one, serve(worlds[1]) as two:
        message = json.dumps({"Records": [{"body": '{"logs": ["one"]}'}]})
        first, second = await invoke(read_db, [one, two], worlds, message, "{}")
    assert first["answer"] == {"done": True, "logs": {worlds[0].origin: {"size": 300, "target": 300}}}
    assert (second["answer"]["done"], len(second["answer"]["logs"]), second["kept"]) == (True, 2, True)


async def test_a_run_is_bounded_whatever_its_sources_do(read_store: ReadStore) -> None:
    world = register(count=300)
    hung, down = same_log(Hung, world, "hung:1"), same_log(Down, world, "down:1")
    began = monotonic()
    reached = await run_once(read_store, [hung, down], world, 1)
    assert monotonic() - began < 20
    assert (reached.done, reached.size, reached.target, reached.lied) == (False, 0, 300, False)


async def test_a_run_passes_over_sources_that_fail(read_store: ReadStore) -> None:
    world = register(count=300)
    reached = await run_once(read_store, [same_log(Down, world, "down:1"), world], world)
    assert (reached.done, reached.size) == (True, 300)


async def test_a_run_gives_its_leases_back(read_store: ReadStore) -> None:
    world = register(count=300)
    for name in ("one", "two"):
        mirror = worker(read_store, [world], world, name=name)
        add_records(world, 10)
        (reached,) = await once(mirror, 2)
        assert reached.done


async def test_a_contradicted_run_is_exit_3_and_others_go_on(
    read_db: str, read_store: ReadStore, tmp_path: Path
) -> None:
    bad, good = register("world.example/bad"), register("world.example/good")
    async with serve(bad) as one, serve(good) as two:
        config = mirror_config(tmp_path, read_db, [one, two], bad, good)
        assert (await spawn("mirror", "--config", config, "--once", "--json")).code == 0
        forked = LiveWorld(bad.origin, bad.kind, bad.signer, address=bad.address)
        add_records(forked, 400, keys=7)
        vars(bad).update(vars(forked))
        add_records(good, 10)
        ended = await spawn("mirror", "--config", config, "--once", "--deadline", "5", "--json")
    assert ended.code == 3, ended.err
    states = {said["origin"]: said for said in map(json.loads, ended.out.splitlines())}
    assert "Fork" in states[bad.origin]["error"]
    assert states[good.origin] == {"origin": good.origin, "size": 310, "target": 310, "done": True, "error": None}
