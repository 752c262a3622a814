"""Operating a mirror: status, evidence that convicts offline, resume."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.cli import exits
from mintmark.tlog.note import generate_skey
from tests.support.commands import one_sentence, spawn
from tests.support.places import LiveWorld, add_records, mirror_config, register, worker
from tests.support.world import Lie, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.postgres import TestPostgres
    from tests.support.world import World

from mintmark.mirror.run_once import once


async def forked(store: ReadStore, size: int) -> World:
    """A log of 300 entries, mirrored, that a second source shows another tree of; the log."""
    honest = register(count=300)
    (reached,) = await once(worker(store, [honest], honest), 5)
    assert reached.done
    other = LiveWorld(honest.origin, honest.kind, honest.signer, address="forked:1")
    other.append(honest.entries_[:199], honest.items[:199])
    add_records(other, size - 199, keys=7)
    (reached,) = await once(worker(store, [honest, other], honest), 5)
    assert reached.lied
    return honest


async def test_status_of_a_log_that_is_current(read_store: ReadStore, read_db: str, tmp_path: Path) -> None:
    world = register(count=300)
    await once(worker(read_store, [world], world), 5)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    said = await spawn("status", "--config", config, "--json")
    (log,) = json.loads(said.out)["logs"]
    assert said.code == exits.OK
    assert (log["state"], log["verified"], log["head"], log["lag"], log["lag_seconds"]) == ("current", 300, 300, 0, 0)
    assert (log["source"], log["error"]) == (world.address, None)
    text = await spawn("status", "--config", config)
    assert "thing" in text.out
    assert "current" in text.out


async def test_status_of_a_log_that_lags_says_by_how_much_and_why(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = register(count=300)
    await once(worker(read_store, [world], world), 5)
    await read_store.status.trouble(world.origin, "the item of entry 310 was withheld", 350)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    (log,) = json.loads((await spawn("status", "--config", config, "--json")).out)["logs"]
    assert (log["state"], log["lag"], log["known"]) == ("behind", 50, 350)
    assert log["lag_seconds"] > 0
    assert "withheld" in log["error"]
    add_records(world, 50)
    await once(worker(read_store, [world], world), 5)
    (log,) = json.loads((await spawn("status", "--config", config, "--json")).out)["logs"]
    assert (log["state"], log["lag"], log["lag_seconds"], log["error"]) == ("current", 0, 0, None)


async def test_a_database_that_is_away_is_exit_4(tmp_path: Path) -> None:
    config = mirror_config(tmp_path, "host=/nowhere dbname=x connect_timeout=1", ["127.0.0.1:1"])
    assert (await spawn("status", "--config", config)).code == exits.NOT_YET


@pytest.mark.parametrize("size", [300, 250])
async def test_evidence_convicts_a_forked_log_offline(
    read_store: ReadStore, read_db: str, tmp_path: Path, size: int
) -> None:
    world = await forked(read_store, size)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    assert (await spawn("status", "--config", config)).code == exits.LIED
    said = await spawn("evidence", "thing", "--config", config, "--json")
    assert said.code == exits.OK
    file = tmp_path / "evidence.json"
    file.write_text(said.out)
    key = world.signer.vkey
    away = mirror_config(tmp_path, "host=/nowhere", ["127.0.0.1:1"], world)
    convicted = await spawn("evidence", "thing", "--config", away, "--check", file, "--vkey", key)
    assert (convicted.code, "signed" in convicted.out) == (exits.OK, True), convicted.err
    stranger = generate_skey(world.origin).vkey
    assert (await spawn("evidence", "thing", "--config", away, "--check", file, "--vkey", stranger)).code == exits.LIED
    text = await spawn("evidence", "thing", "--config", config)
    assert text.out.count(f"\n{world.origin}\n") == 0 or world.origin in text.out


async def test_evidence_of_a_source_that_lied_does_not_convict_the_log(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = register(count=300)
    await once(worker(read_store, [world], world), 5)
    world.lie = Lie.FLIP_CONSISTENCY
    add_records(world, 100)
    (reached,) = await once(worker(read_store, [world], world), 5)
    assert reached.lied
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    file = tmp_path / "evidence.json"
    file.write_text((await spawn("evidence", "thing", "--config", config, "--json")).out)
    checked = await spawn("evidence", "thing", "--config", config, "--check", file)
    assert (checked.code, checked.out) == (exits.LIED, "")
    file.write_text("{}")
    assert (await spawn("evidence", "thing", "--config", config, "--check", file)).code == exits.ERROR


async def test_resume_lets_a_log_go_on_and_keeps_the_evidence(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = register(count=300)
    await once(worker(read_store, [world], world), 5)
    world.lie = Lie.FLIP_ENTRY
    add_records(world, 100)
    assert (await once(worker(read_store, [world], world), 5))[0].lied
    world.lie = Lie.NOTHING
    assert not (await once(worker(read_store, [world], world), 1))[0].done
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    assert (await spawn("resume", "thing", "--config", config)).code == exits.OK
    assert (await once(worker(read_store, [world], world), 5))[0].done
    assert (await spawn("status", "--config", config)).code == exits.OK
    (piece,) = json.loads((await spawn("evidence", "thing", "--config", config, "--json")).out)["evidence"]
    assert piece["resumed"] is not None


async def test_a_log_that_is_not_followed_is_named(read_store: ReadStore, read_db: str, tmp_path: Path) -> None:
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"])
    for command in ("evidence", "resume"):
        said = await spawn(command, "nothing", "--config", config)
        assert (said.code, "mintmark status" in said.err) == (exits.ERROR, True)


async def test_a_mirror_run_of_a_stopped_log_says_why_and_what_to_do(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = await forked(read_store, 250)
    async with serve(world) as address:
        config = mirror_config(tmp_path, read_db, [address], world)
        said = await spawn("mirror", "--once", "--deadline", "2", "--config", config)
        (log,) = [line for line in said.out.splitlines() if line.startswith(world.origin)]
        assert (said.code, "stopped: Fork: " in log) == (exits.LIED, True), said
        assert "`mintmark evidence thing`" in log
        assert "`mintmark resume thing`" in log


async def test_resume_of_a_log_that_was_not_stopped(read_store: ReadStore, read_db: str, tmp_path: Path) -> None:
    world = register(count=300)
    await once(worker(read_store, [world], world), 5)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    said = await spawn("resume", "thing", "--config", config)
    assert (said.code, said.out) == (exits.OK, f"{world.origin} was not stopped\n")
    assert json.loads((await spawn("resume", "thing", "--config", config, "--json")).out)["resumed"] is False


@pytest.mark.parametrize("command", ["status", "rebuild", "evidence", "resume", "fsck"])
async def test_an_empty_database_is_told_as_such(
    new_database: Callable[[str | None], str], tmp_path: Path, command: str
) -> None:
    world = register(count=1)
    config = mirror_config(tmp_path, new_database(None), ["127.0.0.1:1"], world)
    said = await spawn(command, *(("thing",) if command != "status" else ()), "--config", config)
    one_sentence(said, exits.ERROR, "lacks tables of this version", "start mintmark")


async def test_a_user_without_rights_is_told_as_such(read_db: str, postgres: TestPostgres, tmp_path: Path) -> None:
    world, database = register(count=1), str(conninfo_to_dict(read_db)["dbname"])
    stranger = postgres.server.conninfo(database, postgres.role("stranger"))
    config = mirror_config(tmp_path, stranger, ["127.0.0.1:1"], world)
    for command in (("status",), ("rebuild", "thing"), ("evidence", "thing")):
        said = await spawn(*command, "--config", config)
        one_sentence(said, exits.ERROR, "the database may not be read: permission denied for schema")
