"""A log is current while a source says so: known lag, or unknown since the last word. Idle logs cost nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from mintmark.mirror.run_once import once
from mintmark.mirror.source_words import SourceWords, lag
from mintmark.rpc.confirmations import Confirmations
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.server import SERVER_OPTIONS, add_standard_services
from mintmark.rpc.service import LogService
from mintmark.sources.grpc import GrpcSource
from mintmark.sources.guarded import GuardedSource
from mintmark.sources.source import Announcement, Confirmation, ListedLog
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.log.heads import HeadListener
from mintmark.store.mirror.read_store import ReadStore
from tests.support import places
from tests.support.places import LiveWorld, add_records, register, until_shown
from tests.support.world import Lie, World, serve, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mintmark.mirror.worker import Worker
    from mintmark.store.mirror.model import LogStatus
    from mintmark.tlog.trust import Chunk

worker = partial(places.worker, answer_seconds=30, fresh_for=3.0)


class Quiet(LiveWorld):
    """A world that confirms its heads only while it `speaks`, and never the origins `excepted`."""

    speaks = True
    excepted: frozenset[str] = frozenset()
    age: float | None = 0.0

    async def logs(self) -> list[ListedLog]:
        return [ListedLog(self.origin, self.kind, self.size, self.age)]

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement | Confirmation]:
        async for said in super().watch(origins):
            if isinstance(said, Announcement):
                yield said
            elif self.speaks:
                yield Confirmation(0.0, self.excepted)


class Slow(LiveWorld):
    """A world whose entries never come."""

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        await asyncio.sleep(3600)
        yield


def same_log(kind: type[World], world: World, address: str) -> Any:
    made = kind(world.origin, world.kind, world.signer, address=address)
    made.append(world.entries_, world.items)
    return made


@asynccontextmanager
async def working(mirror: Worker) -> AsyncIterator[Worker]:
    task = asyncio.create_task(mirror.run())
    try:
        yield mirror
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(store: ReadStore, true: Callable[[LogStatus], bool]) -> LogStatus:
    """The status of the only log, once it is so."""
    async with asyncio.timeout(60):
        while True:
            for status in await store.status.of_logs():
                if true(status):
                    return status
            await asyncio.sleep(0.05)


async def test_a_long_catch_up_shows_its_lag_before_any_trouble(read_store: ReadStore) -> None:
    """Not one entry has come, and nothing went wrong: the lag is known all the same."""
    slow = same_log(Slow, register(count=6000), "slow:1")
    async with working(worker(read_store, [slow], slow)):
        status = await until(read_store, lambda status: status.offered > 0)
        assert (status.offered, status.head, status.error) == (6000, 0, None)
        status = await until(read_store, lambda status: status.fresh)
        assert (status.offered, status.head, status.error, status.late > 0) == (6000, 0, None, True)


async def test_a_short_step_that_hangs_shows_its_lag_too(read_store: ReadStore) -> None:
    slow = same_log(Slow, register(count=10), "slow:1")
    async with working(worker(read_store, [slow], slow)):
        status = await until(read_store, lambda status: status.offered > 0)
        assert (status.offered, status.head, status.error) == (10, 0, None)


async def test_silence_is_unknown_since_the_last_word_and_ends_by_itself(read_store: ReadStore) -> None:
    quiet = same_log(Quiet, register(count=300), "quiet:1")
    async with working(worker(read_store, [quiet], quiet)):
        current = await until(read_store, lambda status: status.fresh and status.head == 300)
        quiet.speaks = False
        unknown = await until(read_store, lambda status: not status.fresh)
        assert unknown.confirmed >= current.confirmed
        assert (unknown.error, unknown.offered, unknown.head) == (None, 300, 300)
        quiet.speaks = True
        again = await until(read_store, lambda status: status.fresh)
        assert again.confirmed > unknown.confirmed


async def test_a_log_that_a_source_cannot_vouch_for_is_unknown_and_its_others_are_not(read_store: ReadStore) -> None:
    one = same_log(Quiet, register("world.example/one"), "one:1")
    two = same_log(Quiet, register("world.example/two"), "two:1")
    two.excepted = frozenset({two.origin})
    async with working(worker(read_store, [one, two], one, two)):
        await until(read_store, lambda status: status.name == "one" and status.fresh and status.head == 300)
        await until_shown(read_store, one, two)
        two.excepted = frozenset()
        await until(read_store, lambda status: status.name == "two" and status.fresh)
        two.excepted = frozenset({two.origin})
        await until(read_store, lambda status: status.name == "two" and not status.fresh)
        assert {s.name: s.fresh for s in await read_store.status.of_logs()} == {"one": True, "two": False}


async def test_a_source_that_lied_confirms_nothing(read_store: ReadStore) -> None:
    world = register(count=300)
    async with working(worker(read_store, [world], world)):
        await until(read_store, lambda status: status.fresh)
        world.lie = Lie.FOREIGN_KEY
        add_records(world, 5)
        await until(read_store, lambda status: status.stopped is not None)
        await until(read_store, lambda status: not status.fresh)


async def test_a_server_that_is_too_old_to_confirm_is_asked(read_store: ReadStore) -> None:
    """Its stream shows heads and says nothing else; that it lists the same sizes is its word."""
    old = same_log(Quiet, register(count=300), "old:1")
    old.speaks = False
    async with serve(old) as address, GrpcSource(address) as source, working(worker(read_store, [source], old)):
        await until(read_store, lambda status: status.head == 300)
        await until(read_store, lambda status: status.fresh)


class Counting(ReadStore):
    """A store that counts the statements of its heartbeats."""

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self.statements: list[str] = []
        for name in ("beat", "confirm", "offer", "retire"):
            setattr(self.freshness, name, self._counted(name, getattr(self.freshness, name)))

    def _counted(self, name: str, method: Any) -> Any:
        async def counted(*args: Any) -> Any:
            self.statements.append(name)
            return await method(*args)

        return counted


ROWS = """select tableoid::regclass::text, ctid::text, xmin::text from {} order by 1, 2"""


async def test_idle_logs_cause_one_row_a_heartbeat_and_source_however_many_they_are(read_store: ReadStore) -> None:
    worlds = [register(f"world.example/idle-{number}", 1) for number in range(40)]

    class Many(Quiet):
        """All of them, in one stream."""

        async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement | Confirmation]:
            for world in worlds:
                yield Announcement(world.origin, world.notes[-1], world.kind)
            while True:
                yield Confirmation(0.0)
                await asyncio.sleep(0.02)

        async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
            return await by_origin[origin].consistency(origin, old_size, size)

        async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
            async for chunk in by_origin[origin].entries(origin, start, end, size):
                yield chunk

    by_origin = {world.origin: world for world in worlds}
    store = Counting(read_store.pool)
    async with working(worker(store, [Many(address="many:1")], *worlds)):
        await until_shown(store, *worlds)
        async with asyncio.timeout(60):
            while not all(status.fresh for status in await store.status.of_logs()):  # noqa: ASYNC110  # a database
                await asyncio.sleep(0.1)
        before = await rows(store)
        store.statements.clear()
        async with asyncio.timeout(60):
            while store.statements.count("beat") < 4:  # noqa: ASYNC110  # what another task does
                await asyncio.sleep(0.1)
        assert await rows(store) == before
    assert set(store.statements) <= {"beat", "retire"}
    assert before["confirmation"][0] is not None


async def rows(store: ReadStore) -> dict[str, list[Any]]:
    """The versions of the rows that belong to logs: any write makes another."""
    tables = ("log", "head", "progress", "confirmation", "last_confirmation", "lease")
    return {table: await store.pool.fetch(ROWS.format(table)) for table in tables}  # type: ignore[arg-type]


async def test_a_run_says_what_it_found(read_store: ReadStore) -> None:
    world = same_log(Quiet, register(count=300), "run:1")
    await once(worker(read_store, [world], world, fresh_for=3600), 20)
    (status,) = await read_store.status.of_logs()
    assert (status.fresh, status.offered, status.head) == (True, 300, 300)
    log = await read_store.log(world.origin)
    assert await read_store.pool.fetch("select from heartbeat") == []
    async with read_store.pool.connection() as conn:
        await conn.execute("update last_confirmation set until = now()")
    assert not (await read_store.status.of_logs())[0].fresh
    world.age = None  # a mirror that knows nothing itself
    await once(worker(read_store, [world], world, fresh_for=3600), 20)
    assert not (await read_store.status.of_logs())[0].fresh, log


async def test_a_run_that_does_not_arrive_leaves_its_lag(read_store: ReadStore) -> None:
    slow = same_log(Slow, register(count=300), "slow:1")
    await once(places.worker(read_store, [slow], slow, answer_seconds=0.2), 1)
    (status,) = await read_store.status.of_logs()
    assert (status.fresh, status.offered, status.head) == (True, 300, 0)


@asynccontextmanager
async def serving(store: ReadStore) -> AsyncIterator[GrpcSource]:
    """The copies in a read database as a mirror serves them."""
    heads = HeadListener(store.pool, store.pool.conninfo)

    async def look() -> Any:
        await heads.compare_sizes()
        return await store.freshness.confirmable()

    confirmations = Confirmations(look)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    log_pb2_grpc.add_LogServicer_to_server(LogService(CachedLogReader(store), heads, confirmations), server)
    health = await add_standard_services(server, "Log")
    looking = asyncio.create_task(confirmations.run(health))
    try:
        async with started(server) as address, GrpcSource(address) as source:
            yield source
    finally:
        looking.cancel()


async def test_freshness_does_not_grow_along_a_chain(read_store: ReadStore, new_database: Callable[[str], str]) -> None:
    """A mirror passes on its sources' word with its age, and never what they do not say."""
    one, two = register("world.example/one"), register("world.example/two")
    await once(worker(read_store, [one, two], one, two), 20)
    async with read_store.pool.connection() as conn:
        await conn.execute("delete from last_confirmation")
    await read_store.freshness.confirm_once({one.origin: 20.0}, 60)
    async with serving(read_store) as source:
        async with asyncio.timeout(60):
            async for said in source.watch([one.origin, two.origin, "not.here/at-all"]):
                if isinstance(said, Confirmation):
                    break
        assert (said.age >= 20, said.unconfirmed) == (True, {two.origin})
        listed = {log.origin: log for log in await source.logs()}
        assert (listed[one.origin].age or 0) >= 20
        assert listed[two.origin].age is None
        async with open_pool(new_database("read"), 4) as pool:
            store = ReadStore(pool)
            async with working(worker(store, [source], one, two, fresh_for=60)):
                await until_shown(store, one, two)
                status = await until(store, lambda status: status.name == "one" and status.fresh)
                async with pool.connection() as conn:
                    row = await (await conn.execute("select now()")).fetchone()
                assert row is not None
                assert (row[0] - status.confirmed).total_seconds() >= 20
                assert not {s.name: s for s in await store.status.of_logs()}["two"].fresh


async def test_words_are_told_again_where_the_database_forgot_them(read_store: ReadStore) -> None:
    """As when another worker took this one for dead, because it could not reach the database."""
    world = register(count=10)
    async with working(worker(read_store, [world], world)):
        await until(read_store, lambda status: status.fresh)
        async with read_store.pool.connection() as conn:
            await conn.execute("delete from heartbeat")
            await conn.execute("delete from last_confirmation")
        await until(read_store, lambda status: status.fresh)


async def test_a_word_of_before_is_not_told_for_heads_that_came_later(read_store: ReadStore) -> None:
    """What was shown counts before the word that covers it is written."""
    world = register(count=10)
    mirror = worker(read_store, [world], world)
    log, words = mirror.log_task(world.origin), SourceWords("one", read_store.freshness, 60)
    log.offer(world.address, world.notes[-1], world.kind)
    await log.attempt()
    words.hear(world.address, Confirmation(0.0))
    add_records(world, 5)
    log.offer(world.address, world.notes[-1], world.kind)
    await words.tell({world.address: GuardedSource(world)}, [log])
    (status,) = await read_store.status.of_logs()
    assert (status.fresh, status.head, status.offered) == (True, 10, 15)
    assert lag(log) == 5
    assert words.lags([log])[0].entries == 5


@pytest.mark.parametrize("size", [0, 300])
async def test_a_log_without_entries_can_be_current(read_store: ReadStore, size: int) -> None:
    world = register(count=0)
    add_records(world, size)
    async with working(worker(read_store, [world], world)):
        status = await until(read_store, lambda status: status.fresh and status.head == size)
    assert status.offered == size
