"""Incident 15: replicas behind each other looked like a rollback (certspotter).

An older checkpoint from another replica is stale, not an alarm; trusted state never regresses.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Fork, NotAvailableYet
from tests.support.places import follower, mirror, rows, run_once, worker
from tests.support.world import Lie, World

if TYPE_CHECKING:
    from mintmark.store.mirror.read_store import ReadStore


def log() -> World:
    """Three heads: 300, 700 and 1,500 entries."""
    world = World(address="fresh:1")
    for count in (300, 400, 800):
        world.append([os.urandom(20) for _ in range(count)])
    return world


def behind(world: World, heads: int = 2) -> World:
    """A replica of it that has its first heads only."""
    size = (300, 700, 1500)[heads - 1]
    replica = World(world.origin, world.kind, world.signer, address=f"behind-{heads}:1")
    replica.append(world.entries_[:size])
    replica.notes = world.notes[:heads]
    return replica


async def test_an_older_head_of_the_same_tree_is_stale(read_store: ReadStore) -> None:
    world = log()
    await mirror(read_store, world)
    before = await rows(read_store)
    step = follower(read_store, world)
    for note in world.notes[:2]:
        with pytest.raises(NotAvailableYet, match="is behind"):
            await step.step(behind(world), note, "opaque")
    assert await rows(read_store) == before
    assert await read_store.evidence.of_log(1) == []


async def test_an_older_head_of_another_tree_is_an_alarm(read_store: ReadStore) -> None:
    world = log()
    await mirror(read_store, world)
    other = behind(world).fork(500, [os.urandom(20) for _ in range(200)])
    with pytest.raises(Fork) as caught:
        await follower(read_store, world).step(other, other.notes[-1], "opaque")
    assert set(caught.value.notes) == {other.notes[-1], world.notes[-1]}


async def test_replicas_that_take_turns_only_ever_move_the_mirror_forward(read_store: ReadStore) -> None:
    world = log()
    replicas = {source.address: source for source in (world, behind(world), behind(world, 1))}
    told: list[tuple[str, str, str]] = []
    one = worker(read_store, list(replicas.values()), world, on_event=lambda *event: told.append(event))
    followed = one.log_task(world.origin)
    seen = []
    for address in ("behind-1:1", "behind-2:1", "behind-1:1", "fresh:1", "behind-2:1", "behind-1:1", "fresh:1"):
        followed.lost(address)
        followed.offer(address, replicas[address].notes[-1], "opaque")
        await followed.attempt()
        seen.append((await read_store.head(1)).size)
    assert seen == [300, 700, 700, 1500, 1500, 1500, 1500]
    assert await read_store.evidence.of_log(1) == []
    assert not [event for event, _, _ in told if event == "contradiction"]


async def test_a_run_goes_to_the_newest_of_what_replicas_show(read_store: ReadStore) -> None:
    world = log()
    sources = [behind(world, 1), world, behind(world, 2)]
    reached = await run_once(read_store, sources, world)
    assert (reached.done, reached.size) == (True, 1500)


async def test_one_source_that_goes_back_within_a_stream_is_an_alarm(read_store: ReadStore) -> None:
    world = log()
    world.lie = Lie.ROLL_BACK
    followed = worker(read_store, [world], world).log_task(world.origin)
    for note in world.shown():
        followed.offer(world.address, note, "opaque")
        await followed.attempt()
    (kept,) = await read_store.evidence.of_log(1)
    assert (kept.kind, kept.notes) == ("Rollback", [world.notes[-1], world.notes[-2]])
    assert (await read_store.head(1)).size == 1500
