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

from mintmark.errors import MintmarkError
from mintmark.mirror.run_once import once
from mintmark.sources.grpc import GrpcSource
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.mirror.test_worker import Down, Hung, same_log, working
from tests.support.commands import spawn
from tests.support.places import (
    LiveWorld,
    add_records,
    follower,
    mirror_config,
    register,
    run_once,
    until_shown,
    worker,
)
from tests.support.world import Lie, World, serve

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
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise MintmarkError(err.decode())
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


JUDGED = {
    **dict.fromkeys([Lie.FLIP_SIGNATURE, Lie.FLIP_ROOT, Lie.FOREIGN_KEY], "BadSignature"),
    **dict.fromkeys([Lie.FLIP_ENTRY, Lie.FLIP_PROOF, Lie.FLIP_ITEM, Lie.DROP_CHUNK], "ProofError"),
    **dict.fromkeys([Lie.FOREIGN_ORIGIN, Lie.TRUNCATE_BUNDLE], "Malformed"),
    Lie.FLIP_CONSISTENCY: "Fork",
}


async def judged(store: ReadStore) -> tuple[object, ...]:
    """What a database says of a log that lied: the evidence, why it is stopped, and its head."""
    kept = [(each.kind, each.reason, len(each.notes), each.source) for each in await store.evidence.of_log(1)]
    (status,) = await store.status.of_logs()
    return kept, status.stopped, status.head


@pytest.mark.parametrize("known", [0, 300], ids=["first contact", "known"])
@pytest.mark.parametrize("lie", JUDGED, ids=lambda lie: lie.name.lower())
async def test_a_lie_is_judged_alike_whoever_drives_the_step(
    new_database: Callable[[str], str], lie: Lie, known: int
) -> None:
    if lie is Lie.FLIP_CONSISTENCY and not known:
        pytest.skip("nothing is to be consistent with")
    world = register(count=300)
    said: list[tuple[object, ...]] = []
    add_records(world, 600)
    for form in ("daemon", "once", "once again"):
        async with open_pool(new_database("read"), 4) as pool:
            store = ReadStore(pool)
            if known:
                world.lie = Lie.NOTHING
                await follower(store, world).step(world, world.notes[0], "register")
            world.lie = lie
            if form == "daemon":
                async with working(worker(store, [world], world)):
                    await until_stopped(store)
            else:
                for _ in form.split():
                    reached = await run_once(store, [world], world, 10)
                    assert (reached.done, reached.lied, reached.stopped) == (False, True, True)
            said.append(await judged(store))
    assert said[0] == said[1] == said[2]
    ((kind, _, _, source),), stopped, head = said[0]
    assert (kind, source, head) == (JUDGED[lie], world.address, known)
    assert str(stopped).startswith(JUDGED[lie])


async def until_stopped(store: ReadStore) -> None:
    async with asyncio.timeout(20):
        while not any(log.stopped for log in await store.status.of_logs()):  # noqa: ASYNC110  # a database
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("form", ["daemon", "once"])
async def test_two_heads_of_one_size_at_the_first_contact_are_a_fork(read_store: ReadStore, form: str) -> None:
    one = register(count=300)
    other = LiveWorld(one.origin, one.kind, one.signer, address="other:1")
    add_records(other, 300, keys=7)
    if form == "daemon":
        async with working(worker(read_store, [one, other], one)):
            await until_stopped(read_store)
    else:
        reached = await run_once(read_store, [one, other], one, 10)
        assert (reached.lied, reached.stopped) == (True, True)
    (kept,) = await read_store.evidence.of_log(1)
    assert (kept.kind, set(kept.notes)) == ("Fork", {one.notes[-1], other.notes[-1]})


async def test_a_head_that_nobody_signed_is_exit_3_and_evidence(
    read_db: str, read_store: ReadStore, tmp_path: Path
) -> None:
    world = register(count=300)
    world.lie = Lie.FLIP_SIGNATURE
    async with serve(world) as address:
        config = mirror_config(tmp_path, read_db, [address], world)
        for _ in range(2):
            ended = await spawn("mirror", "--once", "--deadline", "5", "--config", config)
            assert (ended.code, "BadSignature" in ended.out) == (3, True), ended.out + ended.err
        (kept,) = await read_store.evidence.of_log(1)
        assert (kept.kind, kept.source) == ("BadSignature", address)
        with pytest.raises(MintmarkError, match="BadSignature"):
            await invoke(read_db, [address], [world], "{}")


async def test_a_liar_beside_an_honest_source_is_evidence_and_no_failure(read_store: ReadStore) -> None:
    honest = register(count=300)
    liar = same_log(LiveWorld, honest, "liar:1")
    liar.lie = Lie.FLIP_ROOT
    reached = await run_once(read_store, [liar, honest], honest, 10)
    assert (reached.done, reached.lied, reached.error) == (True, False, None)
    assert [(kept.kind, kept.source) for kept in await read_store.evidence.of_log(1)] == [("BadSignature", "liar:1")]


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
