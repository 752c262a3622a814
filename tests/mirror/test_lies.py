"""Every lie of a source ends in its named error, with no row of it written: asked directly, and over gRPC."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import MintmarkError
from mintmark.mirror.catch_up import CatchUp
from mintmark.mirror.run_once import once
from mintmark.mirror.worker import Worker
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.sources.grpc import GrpcSource
from tests.support.world import Lie, World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.formats import LogKind
    from mintmark.store.mirror.read_store import ReadStore

LIES = [lie for lie in Lie if lie not in (Lie.NOTHING, Lie.ROLL_BACK, Lie.FORK)]
REGISTER_ONLY = {Lie.FLIP_ITEM, Lie.WITHHOLD_ITEM}
HONEST, MORE = 700, 900


def world(kind: LogKind) -> World:
    """A log of 700 entries, then of 1,600."""
    made = World(kind=kind)
    for count in (HONEST, MORE):
        made.append(*batch(kind, made.size, count))
    return made


def batch(kind: LogKind, first: int, count: int) -> tuple[list[bytes], list[bytes]]:
    if kind == "opaque":
        return [os.urandom(40) for _ in range(count)], []
    items = [b'{"thing":"%d"}' % i for i in range(first, first + count)]
    entries = [Entry(str(first + i), "2026-01-01T00:00:00Z", "user", item_hash(item)) for i, item in enumerate(items)]
    return [format_entry(entry) for entry in entries], items


@asynccontextmanager
async def reached(way: str, source: World) -> AsyncIterator[World | GrpcSource]:
    if way == "direct":
        yield source
    else:
        async with serve(source) as address, GrpcSource(address) as client:
            yield client


async def rows(store: ReadStore) -> dict[str, list[object]]:
    """Everything that a lie could have reached."""
    found = {}
    async with store.pool.connection() as conn:
        for table in ("tile", "bundle", "entry", "head", "v1_tile", "checkpoint"):
            found[table] = await (await conn.execute(f"select * from {table} order by 1, 2, 3")).fetchall()
    return found


@pytest.mark.parametrize("kind", ["opaque", "register"])
@pytest.mark.parametrize("way", ["direct", "grpc"])
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name.lower())
async def test_a_lie_ends_in_its_error_and_writes_nothing(
    read_store: ReadStore, lie: Lie, way: str, kind: LogKind
) -> None:
    if lie in REGISTER_ONLY and kind == "opaque":
        pytest.skip("an opaque log has no items")
    source = world(kind)
    follower = CatchUp(read_store, source.origin, source.verifiers)
    assert await follower.step(source, source.notes[0], kind)
    before = await rows(read_store)
    if lie is Lie.STALE:
        assert await follower.step(source, source.notes[1], kind)
        before = await rows(read_store)
        source.notes.insert(0, source.notes[0])
    source.lie = lie
    async with reached(way, source) as asked:
        with pytest.raises(MintmarkError) as caught:
            await follower.step(asked, await asked.checkpoint(source.origin), kind)
    assert type(caught.value).__name__ == lie.value.split()[0]
    after = await rows(read_store)
    if lie in (Lie.WITHHOLD_ITEM, Lie.TRUNCATE_STREAM):  # authentic entries are kept, and not shown
        before.pop("head"), after.pop("head")
        assert (await read_store.head(1)).size == HONEST
    else:
        assert after == before
    source.lie = Lie.NOTHING
    if lie is not Lie.WITHHOLD_ITEM:
        assert await follower.step(source, source.notes[-1], kind)
        assert (await read_store.head(1)).root == source.edge.root()


@pytest.mark.parametrize("way", ["direct", "grpc"])
async def test_a_fork_stops_the_log_and_both_notes_are_kept(read_store: ReadStore, way: str) -> None:
    honest = world("opaque")
    forked = honest.fork(HONEST - 50, [os.urandom(40) for _ in range(MORE)])
    follower = CatchUp(read_store, honest.origin, honest.verifiers)
    assert await follower.step(honest, honest.notes[-1], "opaque")
    before = await rows(read_store)
    async with reached(way, forked) as asked:
        reports = await once(worker(read_store, [asked], honest), 5)
    assert not reports[0].done
    assert "Fork" in (reports[0].error or "")
    assert await rows(read_store) == before
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.kind == "Fork"
    assert kept.notes == [honest.notes[-1], forked.notes[-1]]


async def test_a_source_that_goes_back_within_one_stream_is_refused(read_store: ReadStore) -> None:
    source = world("opaque")
    mirror = worker(read_store, [source], source)
    source.lie = Lie.ROLL_BACK
    log = mirror.log_task(source.origin)
    for note in source.shown():
        log.offer(source.address, note, "opaque")
        await log.attempt()
    assert log.stopped is not None
    assert "Rollback" in log.stopped
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.kind == "Rollback"
    assert kept.notes == source.notes[::-1]


def worker(store: ReadStore, sources: list[object], source: World) -> Worker:
    return Worker("test", store, sources, trust(source))


def trust(source: World) -> dict[str, list[object]]:
    return {source.origin: source.verifiers}
