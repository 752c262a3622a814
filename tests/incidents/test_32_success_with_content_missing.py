"""Incident 32: a mirror job "succeeded" with content missing (govuk-infrastructure#1922).

Success means that the verified size is at least the head at the start, and the roots are equal. A run that ended for
any other reason says how far it got, and exits with another code than 0.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import spawn
from tests.support.places import mirror, mirror_config, run_once
from tests.support.world import Lie, World, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore

# What a source may do without saying that anything is wrong.
SILENT = [Lie.TRUNCATE_STREAM, Lie.DROP_CHUNK, Lie.TRUNCATE_BUNDLE, Lie.DROP_ENTRY, Lie.REORDER_ENTRIES, Lie.FLIP_ENTRY]


def log() -> World:
    world = World()
    for count in (300, 1700):
        world.append([os.urandom(20) for _ in range(count)])
    return world


@pytest.mark.parametrize("lie", SILENT, ids=lambda lie: lie.name.lower())
async def test_a_run_that_lacks_content_is_not_done(read_store: ReadStore, lie: Lie) -> None:
    world = log()
    world.lie = lie
    reached = await run_once(read_store, [world], world, 1)
    assert not reached.done
    assert reached.size < reached.target == world.size
    assert reached.error


async def test_a_run_with_no_time_left_is_not_done(read_store: ReadStore) -> None:
    world = log()
    reached = await run_once(read_store, [world], world, -1)
    assert (reached.done, reached.target) == (False, world.size)


async def test_a_run_is_measured_by_the_newest_head_that_any_source_shows(read_store: ReadStore) -> None:
    world = log()
    old = World(world.origin, signer=world.signer, address="old:1")
    old.append(world.entries_[:300])
    world.lie = Lie.TRUNCATE_STREAM
    sources = [old, world]
    reached = await run_once(read_store, sources, world, 1)
    assert (reached.done, reached.target) == (False, world.size)
    assert reached.size >= 300


async def test_the_command_says_so_in_its_exit_code(
    read_store: ReadStore, read_db: str, tmp_path: Path, check_log: Callable[..., object]
) -> None:
    world = log()
    async with serve(world) as address:
        config = mirror_config(tmp_path, read_db, [address], world)
        world.lie = Lie.TRUNCATE_STREAM
        missing = await spawn("mirror", "--config", config, "--once", "--deadline", "1", "--json")
        assert missing.code != 0
        said = json.loads(missing.out)
        assert (said["done"], said["target"]) == (False, world.size)
        world.lie = Lie.NOTHING
        done = await spawn("mirror", "--config", config, "--once", "--deadline", "20", "--json")
    assert (done.code, json.loads(done.out)["size"]) == (0, world.size)
    assert await check_log(read_db, world.origin, world.verifiers) == world.size


async def test_a_run_that_finds_nothing_new_is_done_and_has_checked_the_root(read_store: ReadStore) -> None:
    world = log()
    await mirror(read_store, world)
    reached = await run_once(read_store, [world], world)
    assert (reached.done, reached.size) == (True, world.size)
    async with read_store.pool.connection() as conn:
        await conn.execute("update head set root = sha256('x')")
    reached = await run_once(read_store, [world], world)
    assert not reached.done
