"""A mirror that follows published files over HTTP: the same rows as over gRPC, and no row of what was tampered with."""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.api.server import opened
from mintmark.config.settings import load_mirror
from mintmark.errors import Busy, Malformed, MintmarkError, Misconfigured, NotAvailableYet, NotFound, Unavailable
from mintmark.publish.publisher import PARTIAL_SECONDS
from mintmark.sources.grpc import GrpcSource
from mintmark.sources.http_files import HttpFiles
from mintmark.sources.open import open_source
from mintmark.sources.source import Confirmation, ListedLog
from mintmark.sources.tiles import POLL_INTERVAL_SECONDS, TilesSource
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog import bundle
from tests.mirror.test_three_ways import digest
from tests.mirror.test_worker import working
from tests.publish.test_publish import erase, expected, opaque
from tests.support.commands import spawn
from tests.support.minting import Keys
from tests.support.oracle import check_log
from tests.support.places import (
    add_records,
    follower,
    mirror,
    mirror_config,
    register,
    rows,
    run_once,
    until_shown,
    worker,
)
from tests.support.static import Answer, StaticServer, files, publish, published_log, serving
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path

    from mintmark.formats import LogKind
    from tests.support.world import World

BIG = 65_536 + 5 * 256 + 7
WRITTEN = ("log", "head", "tile", "bundle", "checkpoint", "entry", "missing", "v1_tile")
FIRST = {"tile/items/000", "tile/entries/000"}  # looked at to tell a register from another log


@asynccontextmanager
async def source(
    server: StaticServer, name: str = "thing", poll_interval: float = POLL_INTERVAL_SECONDS
) -> AsyncIterator[TilesSource]:
    made = TilesSource(f"{server.url}{name}/log/", poll_interval)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def store(database: str) -> AsyncIterator[ReadStore]:
    async with open_pool(database, 4) as pool:
        yield ReadStore(pool)


async def published(database: str, directory: Path, *worlds: World, clock: Callable[[], float] = time.time) -> None:
    """Publishes the newest head of each world, from a read database."""
    async with store(database) as first:
        for world in worlds:
            await mirror(first, world)
            await publish(first, world, published_log(directory, world), clock)


@pytest.mark.parametrize("world", [register(count=700), opaque(700), opaque(BIG)], ids=["register", "opaque", "big"])
async def test_a_second_mirror_has_the_same_rows(
    new_database: Callable[[str], str], tmp_path: Path, world: World
) -> None:
    one, two = new_database("read"), new_database("read")
    await published(one, tmp_path, world)
    with serving(tmp_path) as server:
        async with source(server) as static, store(two) as second:
            reached = await run_once(second, [static], world, 60)
            assert (reached.done, reached.size, reached.error) == (True, world.size, None)
    assert await digest(two) == await digest(one)
    assert await check_log(two, world.origin, world.verifiers) == world.size


async def test_a_mint_is_mirrored_published_and_mirrored_again(
    new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """All of it as an operator runs it: processes, configuration files, an erasure and growth in between."""
    minted, one, two = new_database("mint"), new_database("read"), new_database("read")
    keys = Keys(tmp_path / "keys", origin := "mint.example/things")
    world = opaque(0, origin)  # its name and key alone
    world.signer = type("Key", (), {"vkey": keys.verifiers(origin)[0].vkey})()
    for directory in ("first", "second"):
        (tmp_path / directory).mkdir()
    web = tmp_path / "web"
    web.mkdir()
    with serving(web) as server:
        async with keys.minting(minted) as client:
            first = mirror_config(tmp_path / "first", one, [client.address], world)
            second = mirror_config(tmp_path / "second", two, [f"{server.url}things/log"], world)
            await client.create(origin, "opaque")
            for number, count in enumerate((200, 500, 900)):
                entries = bundle.join(b"entry %d of %d" % (n, number) for n in range(count))
                await client.append(origin, bytes(15) + bytes([number]), entries)
                for command in (
                    ["mirror", "--config", first, "--once"],
                    ["publish", "things", "--to", web.as_uri(), "--config", first],
                    ["mirror", "--config", second, "--once"],
                ):
                    ended = await spawn(*command)
                    assert ended.code == 0, (command, ended.err, ended.out)
                assert await digest(two) == await digest(one)
    assert await check_log(two, origin, keys.verifiers(origin)) == 1600


async def test_the_read_api_is_a_source(new_database: Callable[[str], str], tmp_path: Path) -> None:
    import uvicorn

    world, one, two = register(count=700), new_database("read"), new_database("read")
    async with store(one) as first:
        await mirror(first, world)
        erase(world, 5)
        await mirror(first, world)
    async with opened(one, {}) as app:
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # theirs
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        api = TilesSource(f"http://127.0.0.1:{port}/thing/log/")
        try:
            async with store(two) as second:
                reached = await run_once(second, [api], world, 30)
                assert (reached.done, reached.size, reached.error) == (True, 701, None)
        finally:
            await api.close()
            server.should_exit = True
            await serving
    same = await digest(one)
    assert {**await digest(two), "checkpoint": ""} == {**same, "checkpoint": ""}  # it saw one head less


async def test_a_daemon_follows_what_is_published(new_database: Callable[[str], str], tmp_path: Path) -> None:
    world, one = register(count=700), new_database("read")
    await published(one, tmp_path, world)
    with serving(tmp_path) as server:
        async with source(server, poll_interval=0.1) as static, store(new_database("read")) as second:
            async with working(worker(second, [static], world)):
                await until_shown(second, world)
                for step in (100, 500):
                    erase(world, step)
                    add_records(world, step)
                    await published(one, tmp_path, world)
                    await until_shown(second, world)
            assert await second.evidence.of_log(1) == []
            database = second.pool.conninfo
    assert await digest(database) == await digest(one)


# What a flipped bit of a file may come to: the lie's name, or that of what is no log's file at all.
LIES = {
    "checkpoint": {"BadSignature", "Unavailable", "NotFound"},
    "tile/0": {"Fork", "ProofError"},
    "tile/1": {"Fork", "ProofError"},
    "tile/entries": {"ProofError", "Unavailable"},
    "tile/items": {"ProofError", "Unavailable"},
}


def places(first: int, size: int) -> list[int]:
    """Where in a file's bytes [first, size) a bit is to be flipped."""
    return sorted({*range(first, first + 4), (first + size) // 2, size - 1, *range(first + 7, size, size // 5)})


async def outcome(second: ReadStore, static: TilesSource, world: World) -> str:
    """The name of the error that the steps to the head end in; empty where it has all."""
    # on a slow machine, a shorter step would write what it verified before the bit
    log = worker(second, [static], world, step_seconds=60).log_task(world.origin)
    try:
        for listed in await static.logs():
            log.offer(static.address, await static.checkpoint(world.origin), listed.kind)
        while log.stopped is None and await log.attempt() is not None:
            pass
    except MintmarkError as error:
        return type(error).__name__
    if log.stopped is None:
        return ""
    await second.evidence.resume(1)
    return str(log.lie).partition(":")[0]


@pytest.mark.parametrize("kind", ["register", "opaque"])
async def test_a_flipped_bit_writes_no_row(new_database: Callable[[str], str], tmp_path: Path, kind: LogKind) -> None:
    """In any file that is needed, at many places. A tile that no proof needs is not asked for."""
    world = register(count=300) if kind == "register" else opaque(300)
    one, two, three = (new_database("read") for _ in range(3))
    async with store(two) as second, store(three) as third:
        await mirror(second, world)
        await mirror(third, world)
        before = await rows(second, *WRITTEN)
        if kind == "register":
            add_records(world, 700)
        else:
            world.append([b"another %d" % n for n in range(700)])
        await published(one, tmp_path, world)
        with serving(tmp_path) as server:
            async with source(server) as static:
                assert await outcome(third, static, world) == ""
            needed = {path.removeprefix("/thing/log/") for path, _ in server.asked}
            assert files(tmp_path / "thing" / "log").keys() - needed - FIRST == {"tile/0/000", "tile/0/002"}
            for name in needed - FIRST:
                file = tmp_path / "thing" / "log" / name
                honest = file.read_bytes()
                known = len(bundle.join(world.items[256:300])) if name == "tile/items/001" else 0  # not taken again
                for at in places(known, len(honest)):
                    file.write_bytes(flip(honest, at))
                    async with source(server) as static:
                        error = await outcome(second, static, world)
                    assert error in LIES["/".join(name.split("/")[:2])], (name, at)
                    assert await rows(second, *WRITTEN) == before, (name, at)
                file.write_bytes(honest)
            async with source(server) as static:
                assert await outcome(second, static, world) == ""
    assert await digest(two) == await digest(three)


@pytest.mark.parametrize("size", [700, 1000, 1300], ids=["behind", "same size", "ahead"])
async def test_a_published_fork_is_refused_and_both_notes_are_kept(
    new_database: Callable[[str], str], tmp_path: Path, size: int
) -> None:
    world, other = register(count=600), register(count=600)
    other.signer = world.signer
    add_records(world, 400)
    add_records(other, size - 600, keys=7)
    await published(new_database("read"), tmp_path, other)
    async with store(new_database("read")) as second:
        await mirror(second, world)
        before = await rows(second, *WRITTEN)
        with serving(tmp_path) as server:
            async with source(server) as static:
                reached = await run_once(second, [static], other, 10)
        assert (reached.done, reached.lied) == (False, True)
        assert await rows(second, *WRITTEN) == before
        (kept,) = await second.evidence.of_log(1)
        assert (kept.kind, kept.source) == ("Fork", static.address)
        assert set(kept.notes) == {world.notes[-1], other.notes[-1]}


async def test_a_node_that_is_behind_is_no_contradiction(new_database: Callable[[str], str], tmp_path: Path) -> None:
    """Each second answer for the checkpoint is an older one, as from the nodes of a CDN."""
    world, one = register(count=300), new_database("read")
    add_records(world, 500)
    await published(one, tmp_path, world)
    asked = 0

    def behave(path: str) -> Answer | None:
        nonlocal asked
        asked += path.endswith("/checkpoint")
        return Answer(200, world.notes[0]) if path.endswith("/checkpoint") and asked % 2 else None

    with serving(tmp_path) as server:
        server.behave = behave
        async with source(server, poll_interval=0.02) as static, store(new_database("read")) as second:
            async with working(worker(second, [static], world)):
                await until_shown(second, world)
                seen = asked
                while asked < seen + 10:  # noqa: ASYNC110  # another thread
                    await asyncio.sleep(0.02)
            assert await second.evidence.of_log(1) == []


async def test_an_older_head_of_another_tree_is_shown_to_the_mirror(tmp_path: Path) -> None:
    world, other = register(count=600), register(count=1)
    add_records(other, 399, keys=7)
    write(tmp_path, world)
    with serving(tmp_path) as server:
        async with source(server) as static:
            assert await static.checkpoint(world.origin) == world.notes[-1]
            (tmp_path / "thing/log/checkpoint").write_bytes(other.notes[-1])
            assert await static.checkpoint(world.origin) == other.notes[-1]


async def test_what_is_missing_or_cut_short_writes_no_row(new_database: Callable[[str], str], tmp_path: Path) -> None:
    world = register(count=300)
    async with store(new_database("read")) as second:
        await mirror(second, world)
        add_records(world, 600)
        write(tmp_path, world)
        before = await rows(second, *WRITTEN)
        with serving(tmp_path) as server:
            for name in ("tile/entries/003.p/132", "tile/items/003.p/132", "tile/1/000.p/3"):
                file = tmp_path / "thing" / "log" / name
                honest = file.read_bytes()
                for data in (None, b"", honest[:-1], honest + b"\0"):
                    file.unlink() if data is None else file.write_bytes(data)
                    async with source(server) as static:
                        with pytest.raises((NotAvailableYet, Unavailable)):
                            await follower(second, world).step(static, world.notes[-1], "register")
                    assert await rows(second, *WRITTEN) == before, (name, data)
                file.write_bytes(honest)


async def test_the_full_file_serves_where_the_partial_one_is_gone(
    new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """A mirror saw a head, and by the time that it reads, tiles were filled and their partial copies deleted."""
    world, one = register(count=700), new_database("read")
    await published(one, tmp_path, world)
    add_records(world, 300)
    await published(one, tmp_path, world)
    await published(one, tmp_path, world, clock=lambda: time.time() + PARTIAL_SECONDS)
    assert not (tmp_path / "thing/log/tile/entries/002.p/188").exists()
    with serving(tmp_path) as server:
        async with source(server) as static, store(new_database("read")) as second:
            assert await follower(second, world).step(static, world.notes[0], "register")
            assert await check_log(second.pool.conninfo, world.origin, world.verifiers) == 700
            assert await follower(second, world).step(static, world.notes[1], "register")
            assert await digest(second.pool.conninfo) | {"checkpoint": ""} == await digest(one) | {"checkpoint": ""}


async def test_a_log_of_another_kind_or_name_is_told(tmp_path: Path) -> None:
    world, plain = register(count=300), opaque(300, "world.example/plain")
    write(tmp_path, world)
    write(tmp_path, plain)
    empty = opaque(0, "world.example/empty")
    empty.append([])
    write(tmp_path, empty)
    with serving(tmp_path) as server:
        async with source(server) as static:
            assert [(log.origin, log.kind) for log in await static.logs()] == [(world.origin, "register")]
            with pytest.raises(NotFound, match=r"is world.example/thing, not world.example/plain"):
                await static.checkpoint(plain.origin)
            with pytest.raises(NotFound, match="its key is not trusted"):
                await anext(static.watch([plain.origin]))
        async with source(server, "plain") as static:
            assert [(log.origin, log.kind) for log in await static.logs()] == [(plain.origin, "opaque")]
        async with source(server, "empty") as static:
            assert await static.logs() == [ListedLog("world.example/empty", "opaque", 0)]
            with pytest.raises(NotAvailableYet, match="no entries yet"):
                await anext(static.watch())
        async with source(server, "nothing") as static:
            with pytest.raises(NotFound, match="has no checkpoint"):
                await static.logs()
        for name in ("000", "001.p/44"):
            (tmp_path / "thing/log/tile/items" / name).unlink()
        async with source(server) as static:
            with pytest.raises(Unavailable, match="a register's entries and no tile/items/000"):
                await static.logs()


ANSWERS = {
    "too long": (Answer(200, bytes(101)), Malformed, "longer than 100 bytes"),
    "a bomb": (Answer(200, gzip.compress(bytes(10**7)), {"Content-Encoding": "gzip"}), Malformed, "longer than 100"),
    "gzip cut short": (Answer(200, gzip.compress(b"x")[:-4], {"Content-Encoding": "gzip"}), Unavailable, "ends before"),
    "a bomb in the second member": (
        Answer(200, gzip.compress(b"x") + gzip.compress(bytes(10**7)), {"Content-Encoding": "gzip"}),
        Malformed,
        "longer than 100",
    ),
    "a second member cut short": (
        Answer(200, gzip.compress(b"x") + gzip.compress(b"y")[:-4], {"Content-Encoding": "x-gzip"}),
        Unavailable,
        "ends before",
    ),
    "no second member": (
        Answer(200, gzip.compress(b"x") + b"<html>", {"Content-Encoding": "gzip"}),
        Unavailable,
        "is not the gzip",
    ),
    "no gzip": (Answer(200, b"x" * 50, {"Content-Encoding": "gzip"}), Unavailable, "is not the gzip"),
    "brotli": (Answer(200, b"x", {"Content-Encoding": "br"}), Unavailable, "came as br"),
    "busy": (Answer(503, b"", {"Retry-After": "7"}), Busy, "answers 503"),
    "an error": (Answer(500), Unavailable, "answers 500"),
    "a redirect": (
        Answer(302, b"", {"Location": "http://127.0.0.1:1/"}),
        Unavailable,
        "redirect to http://127.0.0.1:1/",
    ),
    "cut short": (Answer(200, b"x", {"Content-Length": "9", "Connection": "close"}), Unavailable, "cannot be had"),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_what_is_no_file_is_named(tmp_path: Path, what: str) -> None:
    answer, error, message = ANSWERS[what]
    with serving(tmp_path) as server:
        server.behave = lambda _: answer
        files = HttpFiles(server.url)
        try:
            with pytest.raises(error, match=message) as caught:
                await files.get("file", 100)
            if isinstance(caught.value, Busy):
                assert caught.value.retry_after == 7
        finally:
            await files.close()


async def test_files_come_as_they_are_or_gzipped(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    with serving(tmp_path) as server:
        files = HttpFiles(server.url)
        try:
            assert await files.get("file", 100) == b"x" * 100
            server.behave = lambda _: Answer(200, gzip.compress(b"y" * 100), {"Content-Encoding": "gzip"})
            assert await files.get("file", 100) == b"y" * 100
            for name in ("gzip", "x-gzip", "X-GZIP"):
                members = gzip.compress(b"y" * 60) + gzip.compress(b"") + gzip.compress(b"z" * 40)
                server.behave = lambda _, name=name, data=members: Answer(200, data, {"Content-Encoding": name})
                assert await files.get("file", 100) == b"y" * 60 + b"z" * 40
            server.behave = lambda _: Answer(404)
            assert await files.get("file", 100) is None
            assert {encodings for _, encodings in server.asked} == {"gzip, identity"}
        finally:
            await files.close()
    files = HttpFiles("http://127.0.0.1:1/")
    with pytest.raises(Unavailable, match="cannot be had"):
        await files.get("file", 100)
    await files.close()


async def test_so_many_requests_at_once_and_no_more(tmp_path: Path) -> None:
    """Also where there are hundreds of bundles to come."""
    import threading

    write(tmp_path, world := opaque(20_000))
    lock, now, most = threading.Lock(), 0, 0
    with serving(tmp_path) as server:

        def behave(path: str) -> Answer:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            try:
                return (
                    Answer(200, (tmp_path / path[1:]).read_bytes()) if (tmp_path / path[1:]).exists() else Answer(404)
                )
            finally:
                with lock:
                    now -= 1

        server.behave = behave
        async with source(server) as static:
            got = [chunk async for chunk in static.entries(world.origin, 0, world.size, world.size)]
    assert (got[0].start, got[-1].end) == (0, world.size)
    assert b"".join(e for chunk in got for e in chunk.entries) == bundle.join(world.entries_)
    assert most <= 16


def write(directory: Path, world: World) -> None:
    """A world's files, without a database."""
    for name, data in expected(world).items():
        file = directory / world.origin.rpartition("/")[2] / "log" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def test_the_configuration_takes_both_kinds_of_sources(tmp_path: Path) -> None:
    config = mirror_config(tmp_path, "x", ["127.0.0.1:70", "https://cdn.example/country/log", "http://h:8/log/"])
    assert load_mirror(config).sources == (
        "127.0.0.1:70",
        "https://cdn.example/country/log/",
        "http://h:8/log/",
    )
    for wrong in ("ftp://h/log/", "https://", "https://h/log?x", "https://user@h/log", "h"):
        with pytest.raises(Misconfigured, match="sources"):
            load_mirror(mirror_config(tmp_path, "x", [wrong]))


def test_one_url_with_a_name_in_it_is_a_source_for_each_log(tmp_path: Path) -> None:
    from mintmark.config.trust_store import TrustStore

    config = mirror_config(
        tmp_path, "x", ["h:1", "https://cdn.example/{name}/log/"], register(count=1), opaque(1, "w/b")
    )
    sources = ["h:1", "https://cdn.example/b/log/", "https://cdn.example/thing/log/"]
    assert TrustStore(config).load().sources == sources


async def test_an_address_says_how_it_is_asked() -> None:
    for address, kind in {"127.0.0.1:7070": GrpcSource, "http://127.0.0.1:1/log": TilesSource}.items():
        made = open_source(address)
        assert isinstance(made, kind)
        await made.close()


async def test_clients_name_a_grpc_source(tmp_path: Path) -> None:
    config = mirror_config(tmp_path, "x", ["http://127.0.0.1:1/thing/log/"], register(count=1))
    ended = await spawn("checkpoint", "thing", "--config", config)
    assert (ended.code, "name a server with --grpc HOST:PORT" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("said", "confirmed"),
    [(None, True), ("current", True), ("behind; lag=3", False), ("unknown; since=2026-03-01T08:00:00Z", False)],
)
async def test_a_read_api_that_says_that_its_copy_is_not_fresh_confirms_nothing(
    tmp_path: Path, said: str | None, confirmed: bool
) -> None:
    world = register(count=300)
    write(tmp_path, world)
    note = (tmp_path / "thing/log/checkpoint").read_bytes()
    headers = {"Mintmark-Freshness": said} if said else {}
    with serving(tmp_path) as server:
        server.behave = lambda path: Answer(200, note, headers) if path.endswith("/checkpoint") else None
        async with source(server) as static:
            (log,) = await static.logs()
            assert (log.size, log.age) == (300, 0.0 if confirmed else None)
            words = [said async for said in first(static.watch(), 2)]
            assert words[1] == Confirmation(0.0, frozenset() if confirmed else frozenset({world.origin}))


async def first(stream: AsyncGenerator[Any, None], count: int) -> AsyncIterator[Any]:
    """So many of a stream, which is closed then."""
    async with aclosing(stream):
        async for each in stream:
            yield each
            if (count := count - 1) == 0:
                return
