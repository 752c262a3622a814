"""A worker among sources that are down, hang, lag, flood or lie: it follows what can be believed; nothing ends it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import grpc
import pytest

from mintmark.aio import supervise
from mintmark.errors import Busy, Conflict, MintmarkError, Unavailable
from mintmark.mirror.run_once import once
from mintmark.mirror.worker import Worker
from mintmark.sources.grpc import GrpcSource
from mintmark.sources.source import Announcement, ListedLog
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.note import generate_skey, parse_vkey
from tests.support import places
from tests.support.places import LiveWorld, add_records, register, until_shown
from tests.support.world import Lie, World, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mintmark.formats import LogKind
    from mintmark.store.mirror.model import Progress
    from mintmark.tlog.trust import Chunk


class Counted(LiveWorld):
    """A world that counts how it is asked."""

    asked = 0

    async def logs(self) -> list[ListedLog]:
        self.asked += 1
        return await super().logs()


class Streamless(LiveWorld):
    """A source of which no stream can be had."""

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        raise Unavailable("a proxy that knows no streams")
        yield


class Down(LiveWorld):
    """A source that answers nothing."""

    async def logs(self) -> list[ListedLog]:
        raise Unavailable("down")

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        raise Unavailable("down")
        yield


class Hung(LiveWorld):
    """A source that shows heads, and no entries."""

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        await asyncio.sleep(3600)
        yield


class Refusing(LiveWorld):
    """A source that answers with an error of its choice."""

    error: MintmarkError

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        raise self.error

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        raise self.error
        yield


class Broken(LiveWorld):
    """A source whose client has a defect."""

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        raise KeyError("a defect")
        yield


class Flooding(LiveWorld):
    """A source that sends names that nobody asked for, kinds that are none, and the same head again and again."""

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        while True:
            for number in range(1000):
                yield Announcement(
                    f"flood.example/{os.urandom(8).hex()}", b"junk", ("junk", "opaque", "register")[number % 3]
                )
                yield Announcement(self.origin, self.notes[-1], "junk")
                yield Announcement(self.origin, self.notes[-1], self.kind)
            await asyncio.sleep(0)


def same_log(kind: type[World], honest: World, address: str, size: int | None = None) -> World:
    """Another source of the same log, which has its first entries, or all."""
    other = kind(honest.origin, honest.kind, honest.signer, address=address)
    other.append(honest.entries_[:size], honest.items[:size])
    return other


@asynccontextmanager
async def working(mirror: Worker) -> AsyncIterator[Worker]:
    """A worker that runs for the time of the block, and must not have ended before."""
    task = asyncio.create_task(mirror.run())
    try:
        yield mirror
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


worker = partial(places.worker, answer_seconds=0.5)


async def test_heads_are_pushed_and_nobody_polls(read_store: ReadStore) -> None:
    source = Counted(address="a:1")
    source.append([b"one"])
    async with working(worker(read_store, [source], source)):
        for _ in range(3):
            await until_shown(read_store, source)
            source.append([os.urandom(9)])
        await until_shown(read_store, source)
    assert source.asked == 0


async def test_a_source_without_streams_is_polled(read_store: ReadStore) -> None:
    source = Streamless(address="a:1")
    source.append([b"one"])
    async with working(worker(read_store, [source], source)):
        await until_shown(read_store, source)
        source.append([b"two"])
        await until_shown(read_store, source)


@pytest.mark.parametrize("kind", [Down, Hung, Broken, Streamless])
async def test_a_source_that_fails_is_passed_over(read_store: ReadStore, kind: type[World]) -> None:
    honest = register(count=300)
    first = same_log(kind, honest, "first:1")
    async with working(worker(read_store, [first, honest], honest)):
        await until_shown(read_store, honest)
        add_records(honest, 10)
        await until_shown(read_store, honest)
    (status,) = await read_store.status.of_logs()
    assert (status.source, status.stopped) == (honest.address, None)
    assert not await read_store.evidence.of_log(1)


@pytest.mark.parametrize(
    "error", [Conflict("try again"), Busy("later", 1.0), MintmarkError("a fault"), Unavailable("no")]
)
async def test_a_source_that_refuses_is_passed_over_whatever_it_says(
    read_store: ReadStore, error: MintmarkError
) -> None:
    honest = register(count=300)
    first = same_log(Refusing, honest, "first:1")
    first.error = error
    async with working(worker(read_store, [first, honest], honest)):
        await until_shown(read_store, honest)
    assert not await read_store.evidence.of_log(1)


async def test_a_source_that_lags_is_passed_over_and_is_no_contradiction(read_store: ReadStore) -> None:
    honest = register(count=600)
    stale = same_log(LiveWorld, honest, "stale:1", 200)
    async with working(worker(read_store, [stale, honest], honest)):
        await until_shown(read_store, honest)
        add_records(stale, 0)
        stale.append(honest.entries_[200:300], honest.items[200:300])
        add_records(honest, 20)
        await until_shown(read_store, honest)
    assert not await read_store.evidence.of_log(1)


@pytest.mark.parametrize(
    "lie", [Lie.FLIP_ENTRY, Lie.FLIP_ITEM, Lie.FLIP_CONSISTENCY, Lie.FLIP_SIGNATURE, Lie.FOREIGN_KEY]
)
async def test_a_source_that_lies_is_evidence_and_the_log_goes_on_with_another(read_store: ReadStore, lie: Lie) -> None:
    honest = register(count=300)
    liar = same_log(LiveWorld, honest, "liar:1")
    told: list[tuple[str, str, str]] = []
    async with working(worker(read_store, [liar, honest], honest, on_event=lambda *what: told.append(what))):
        await until_shown(read_store, honest)
        liar.lie = lie
        await lead(liar, honest)
        await until_shown(read_store, honest)
        await until(lambda: any(event == "contradiction" for event, *_ in told))
        add_records(honest, 5)
        await until_shown(read_store, honest)
    (status,) = await read_store.status.of_logs()
    assert (status.source, status.stopped) == (honest.address, None)
    (kept,) = await read_store.evidence.of_log(1)
    assert (kept.source, kept.kind) == ("liar:1", lie.value.split()[0])
    assert kept.notes


@pytest.mark.parametrize("form", ["daemon", "once"])
async def test_a_new_worker_does_not_ask_a_source_that_lied_before(read_store: ReadStore, form: str) -> None:
    honest = register(count=300)
    liar = same_log(Asked, honest, "liar:1")
    liar.lie = Lie.FLIP_ENTRY
    await once(worker(read_store, [liar, honest], honest), 5)
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.source == "liar:1"
    liar.lie, liar.asked = Lie.NOTHING, 0
    add_records(liar, 50)
    honest.append(liar.entries_[honest.size :], liar.items[honest.size :])
    if form == "once":
        await once(worker(read_store, [liar, honest], honest), 5)
    else:
        async with working(worker(read_store, [liar, honest], honest)):
            await until_shown(read_store, honest)
    (status,) = await read_store.status.of_logs()
    assert (status.head, status.source, liar.asked) == (350, honest.address, 0)


class Asked(LiveWorld):
    """A source that counts how often its entries are asked for."""

    asked = 0

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        self.asked += 1
        async for chunk in super().entries(origin, start, end, size):
            yield chunk


async def lead(liar: World, honest: World) -> None:
    """The same new entries on both, the liar's a little earlier."""
    add_records(liar, 50)
    await asyncio.sleep(0.3)
    honest.append(liar.entries_[honest.size :], liar.items[honest.size :])


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # what another task does
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", [300, 250, 200])
async def test_a_fork_stops_the_log_however_short_it_is(read_store: ReadStore, size: int) -> None:
    """Whoever shows it: the log itself signed both. What was verified stays readable."""
    honest = register(count=300)
    forked = LiveWorld(honest.origin, honest.kind, honest.signer, address="forked:1")
    forked.append(honest.entries_[:199], honest.items[:199])
    add_records(forked, size - 199, keys=7)
    async with working(worker(read_store, [honest], honest)) as mirror:
        await until_shown(read_store, honest)
        mirror.follow(mirror.trust, [honest, forked])
        async with asyncio.timeout(20):
            while not (await read_store.status.of_logs())[0].stopped:  # noqa: ASYNC110  # a database
                await asyncio.sleep(0.05)
        shown, before = honest.size, honest.notes[-1]
        add_records(honest, 10)
        await asyncio.sleep(0.3)
    (status,) = await read_store.status.of_logs()
    assert (status.head, "Fork" in (status.stopped or "")) == (shown, True)
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.notes == [before, forked.notes[-1]]


async def test_a_log_is_followed_again_after_resume_without_a_new_head(read_store: ReadStore) -> None:
    source = register(count=300)
    async with working(worker(read_store, [source], source)):
        await until_shown(read_store, source)
        source.lie = Lie.FLIP_ENTRY
        add_records(source, 50)
        async with asyncio.timeout(20):
            while not (await read_store.status.of_logs())[0].stopped:  # noqa: ASYNC110  # a database
                await asyncio.sleep(0.05)
        source.lie = Lie.NOTHING
        await read_store.evidence.resume(1)
        await until_shown(read_store, source)
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.resumed is not None


async def test_a_flood_neither_ends_a_worker_nor_fills_it(read_store: ReadStore) -> None:
    honest = register(count=300)
    flooding = same_log(Flooding, honest, "flood:1")
    async with working(worker(read_store, [flooding, honest], honest)) as mirror:
        await until_shown(read_store, honest)
        add_records(honest, 10)
        await until_shown(read_store, honest)
        assert set(mirror._logs) == {honest.origin}
    assert [log.origin for log in await read_store.logs()] == [honest.origin]


async def test_a_source_that_speaks_no_protocol_ends_nothing(read_store: ReadStore) -> None:
    honest = register(count=300)
    async with (
        garbage() as address,
        GrpcSource(address) as client,
        working(worker(read_store, [client, honest], honest)),
    ):
        await until_shown(read_store, honest)
        assert address in {beat.source for beat in await read_store.leases.beats() if beat.error}
    assert not await read_store.evidence.of_log(1)


@asynccontextmanager
async def garbage() -> AsyncIterator[str]:
    """A gRPC server that answers every call with bytes that are no message."""

    class Anything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            async def stream(request: bytes, context: object) -> AsyncIterator[bytes]:
                yield b"\xff\xff\xff"

            async def unary(request: bytes, context: object) -> bytes:
                return b"\xff\xff\xff"

            if details.method.endswith(("WatchCheckpoints", "GetEntries")):
                return grpc.unary_stream_rpc_method_handler(stream)
            return grpc.unary_unary_rpc_method_handler(unary)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Anything(),))
    async with started(server) as address:
        yield address


async def test_logs_and_sources_change_without_a_restart(read_store: ReadStore) -> None:
    one, two = register("world.example/one"), register("world.example/two")
    async with working(worker(read_store, [one], one)) as mirror:
        await until_shown(read_store, one)
        mirror.follow({one.origin: one.verifiers, two.origin: two.verifiers}, [one, two])
        await until_shown(read_store, one, two)
        mirror.follow({two.origin: two.verifiers}, [one, two])
        before = one.size
        add_records(one, 5)
        add_records(two, 5)
        async with asyncio.timeout(20):
            wanted = {"one": before, "two": two.size}
            while {s.name: s.head for s in await read_store.status.of_logs()} != wanted:  # noqa: ASYNC110  # a database
                await asyncio.sleep(0.05)


class Looking(ReadStore):
    """A store that counts how often a log is looked at."""

    looks = 0

    async def follow(self, origin: str, kind: LogKind) -> Progress:
        self.looks += origin.endswith("one")
        return await super().follow(origin, kind)


async def test_a_log_more_is_no_work_for_those_that_were_there(read_store: ReadStore) -> None:
    one, two = register("world.example/one"), register("world.example/two")
    store = Looking(read_store.pool)
    async with working(worker(store, [one, two], one)) as mirror:
        await until_shown(store, one)
        before = store.looks
        mirror.follow({one.origin: one.verifiers, two.origin: two.verifiers}, [one, two])
        await until_shown(store, one, two)
    assert store.looks == before


async def test_a_stream_that_begins_anew_may_show_an_older_head(read_store: ReadStore) -> None:
    """As behind a balancer. In the same stream it would contradict itself."""
    one, two = register("world.example/one"), register("world.example/two")
    add_records(one, 5)
    async with working(worker(read_store, [one, two], one)) as mirror:
        await until_shown(read_store, one)
        one.lie = Lie.STALE
        mirror.follow({one.origin: one.verifiers, two.origin: two.verifiers}, [one, two])
        await until_shown(read_store, one, two)
        one.lie = Lie.NOTHING
        add_records(one, 5)
        await until_shown(read_store, one, two)
    assert not await read_store.evidence.of_log(1)


async def test_a_key_that_changes_is_used_at_once(read_store: ReadStore) -> None:
    source = register(count=300)
    old, new = source.signer, generate_skey(source.origin)
    both = {source.origin: [parse_vkey(old.vkey), parse_vkey(new.vkey)]}
    async with working(worker(read_store, [source], source)) as mirror:
        await until_shown(read_store, source)
        mirror.follow(both, [source])
        source.signer = new
        add_records(source, 5)
        await until_shown(read_store, source)
    assert not await read_store.evidence.of_log(1)


async def test_a_dead_workers_log_is_taken_when_its_lease_ends(read_store: ReadStore) -> None:
    source = register(count=300)
    log = (await read_store.follow(source.origin, "register")).id
    assert await read_store.leases.claim(log, "dead", 3) == 0
    async with working(worker(read_store, [source], source)):
        await until_shown(read_store, source, seconds=5)


async def test_a_worker_that_ends_gives_its_leases_back(read_store: ReadStore) -> None:
    source = register(count=300)
    async with working(worker(read_store, [source], source)):
        await until_shown(read_store, source)
    assert await read_store.leases.claim(1, "another", 3) == 0


async def test_a_worker_that_is_added_takes_its_share(read_store: ReadStore) -> None:
    worlds = [register(f"world.example/thing-{number}", 10) for number in range(6)]
    trust = {world.origin: world.verifiers for world in worlds}

    async def busy() -> None:
        while True:
            for world in worlds:
                add_records(world, 1)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(busy())
    try:
        async with working(Worker("one", read_store, worlds, trust)):
            await asyncio.sleep(1)
            async with working(Worker("two", read_store, worlds, trust)), asyncio.timeout(30):
                while await read_store.leases.shares("two", 6) < (2, 0, 0):  # noqa: ASYNC110  # a database
                    await asyncio.sleep(0.1)
    finally:
        task.cancel()


async def test_junk_signatures_below_a_head_are_nothing_new(read_store: ReadStore) -> None:
    """A head that a source repeats with junk below it is the same head: no step, no second row."""
    source = register(count=300)
    mirror = worker(read_store, [source], source)
    log = mirror.log_task(source.origin)
    junk = source.notes[-1] + "— somebody AAAAAAAA\n".encode()
    for note in (source.notes[-1], junk):
        log.offer(source.address, note, "register")
        await log.attempt()
    head = await read_store.head(1)
    assert head.note == source.notes[-1]


@pytest.mark.parametrize("kind", ["opaque", "register"])
@pytest.mark.parametrize("empty", [False, True])
async def test_no_source_can_say_what_kind_of_log_it_is(read_store: ReadStore, kind: LogKind, empty: bool) -> None:
    """Nothing signs the kind; the first entry proves it, whoever was heard first."""
    honest = register(count=0)
    honest.kind = kind
    liar = same_log(LiveWorld, honest, "liar:1")
    liar.kind = "opaque" if kind == "register" else "register"
    if not empty:
        grow(honest, liar)
    async with working(worker(read_store, [liar, honest], honest)):
        if empty:
            await until_shown(read_store, honest)
            grow(honest, liar)
        await until_shown(read_store, honest)
    (status,) = await read_store.status.of_logs()
    assert (status.kind, status.source, status.head) == (kind, honest.address, 300)
    (kept,) = await read_store.evidence.of_log(1)
    assert (kept.kind, kept.source) == ("ProofError", "liar:1")


def grow(*sources: World) -> None:
    """The first 300 entries of a log of the first one's kind, on each source."""
    for source in sources:
        if sources[0].kind == "register":
            add_records(source, 300)
        else:
            source.append([b"entry %d" % number for number in range(300)])


async def test_a_source_that_calls_the_log_another_kind_is_not_asked(read_store: ReadStore) -> None:
    honest = register(count=300)
    async with working(worker(read_store, [honest], honest)) as mirror:
        await until_shown(read_store, honest)
        liar = replace(honest, kind="opaque", address="liar:1")
        mirror.follow(mirror.trust, [liar, honest])
        add_records(honest, 5)
        await until_shown(read_store, honest)
    (status,) = await read_store.status.of_logs()
    assert (status.kind, status.source) == ("register", honest.address)


class Broken(LiveWorld):
    """A source whose first answer meets a defect of ours."""

    answers = 0

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        self.answers += 1
        if self.answers == 1:
            raise RuntimeError("a defect")
        async for chunk in super().entries(origin, start, end, size):
            yield chunk


async def test_a_worker_that_fails_is_told_and_goes_on_with_its_logs(read_store: ReadStore) -> None:
    """Even the report of a defect may fail: then the whole worker begins anew."""
    world, reported, told = Broken("world.example/thing", "register", generate_skey("world.example/thing")), [], []
    add_records(world, 300)

    def on_event(*event: str) -> None:
        reported.append(event)
        if len(reported) == 1:
            raise RuntimeError("no place to write a log line")

    worker = places.worker(read_store, [world], world, on_event=on_event)
    running = asyncio.create_task(supervise(worker.run, told.append))
    await until_shown(read_store, world)
    add_records(world, 10)
    await until_shown(read_store, world)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(told) == 1
