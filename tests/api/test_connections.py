"""What strangers do with connections costs the others nothing: real sockets, and the server's own memory."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
import uvicorn

from mintmark.api.connections import MAX_HEADER_BYTES, Connections
from mintmark.api.server import opened, uvicorn_config
from mintmark.register import canonical
from tests.api.conftest import limit, mirror, world
from tests.support.lighthouse import define_field, define_register, system, user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.api.app import App
    from tests.support.postgres import TestPostgres

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECORDS, RECORD_BYTES = 400, 50_000
PAGE_BYTES = 2**20


def plots() -> Any:
    """A register of large records."""
    rows = [
        system(*define_field("plot")),
        system(*define_field("text", "text")),
        system(*define_register("plot", ["plot", "text"])),
    ]
    texts = [os.urandom(RECORD_BYTES // 2).hex() for _ in range(4)]
    items = [{"plot": f"{number:04}", "text": texts[number % 4]} for number in range(RECORDS)]
    return world("plot", [*rows, *(user(item["plot"], canonical.format(item)) for item in items)])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plot(postgres: TestPostgres) -> AsyncIterator[App]:
    name = postgres.create("read")
    await mirror(postgres.server.conninfo(name), plots())
    async with opened(postgres.server.conninfo(name), {}) as app:
        yield app
    postgres.drop(name)


@asynccontextmanager
async def serving(app: App, **bounds: Any) -> AsyncIterator[tuple[str, int]]:
    """The server with other bounds, on a port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
    server = uvicorn.Server(uvicorn_config(app, Connections(**bounds)))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connecting(address: tuple[str, int], count: int, sent: bytes = b"") -> AsyncIterator[list[Connection]]:
    """Connections that send this, and read nothing by themselves."""
    made = [await asyncio.open_connection(*address, limit=2**12) for _ in range(count)]
    try:
        for _, writer in made:
            writer.write(sent)
        yield made
    finally:
        for _, writer in made:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in made), return_exceptions=True)


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: registers.test\r\n\r\n".encode()


async def status(address: tuple[str, int], path: str = "/plot/register.json") -> int:
    """The status of a normal reader's request."""
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{address[0]}:{address[1]}{path}")).status_code


async def ends(reader: asyncio.StreamReader) -> bool:
    """True once the server ends a connection; what it sent is thrown away."""
    try:
        async with asyncio.timeout(20):
            while await reader.read(2**16):
                pass
    except ConnectionError:
        pass
    return True


async def test_idle_connections_make_room_for_others(plot: App) -> None:
    async with serving(plot, max_connections=40) as address, connecting(address, 100) as idle:
        assert await status(address) == 200
        ended = [asyncio.create_task(ends(reader)) for reader, _ in idle]
        await asyncio.wait(ended, timeout=1)
        assert sum(task.done() for task in ended) >= 90
        assert not ended[-1].done()
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


async def test_a_connection_in_use_is_not_the_one_that_makes_room(plot: App) -> None:
    async with serving(plot, max_connections=40) as address, httpx.AsyncClient() as client:
        url = f"http://{address[0]}:{address[1]}/plot/download-log.jsonl"
        async with client.stream("GET", url) as response, connecting(address, 100):
            assert len([line async for line in response.aiter_lines()]) == RECORDS + 3


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: h\r\n"])
async def test_a_header_that_does_not_come_is_not_waited_for(plot: App, sent: bytes) -> None:
    async with serving(plot, header_seconds=0.2) as address, connecting(address, 1, sent) as made:
        assert await ends(made[0][0])


async def test_each_header_has_its_time(plot: App) -> None:
    asked = request("/robots.txt")
    async with serving(plot, header_seconds=0.2) as address, connecting(address, 1, asked) as made:
        reader, writer = made[0]
        assert (await reader.readuntil(b"Disallow: /\n")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.4)
        writer.write(asked + asked[:20])
        assert (await reader.readuntil(b"Disallow: /\n")).startswith(b"HTTP/1.1 200")
        assert await ends(reader)


async def test_a_header_without_an_end_is_not_kept(plot: App) -> None:
    async with serving(plot) as address, connecting(address, 1, b"GET / HTTP/1.1\r\nX: ") as made:
        reader, writer = made[0]
        for _ in range(4):
            writer.write(b"x" * (MAX_HEADER_BYTES // 2))
            await asyncio.sleep(0.05)
        assert await ends(reader)


def answering() -> int:
    """The number of requests that are being answered."""
    return sum("run_asgi" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_a_client_that_takes_nothing_is_cut_off(plot: App) -> None:
    asked = request("/plot/download-log.jsonl")
    async with serving(plot, stall_seconds=0.3) as address, connecting(address, 1, asked):
        for _ in range(100):
            await asyncio.sleep(0.1)
            if not answering():
                break
        assert answering() == 0


async def test_what_nobody_takes_has_a_bound_and_the_oldest_goes_first(plot: App) -> None:
    path = "/plot/records.json?page-size=200"
    bounds = {"max_untaken_bytes": 24 * 2**20}
    async with serving(plot, **bounds) as address, connecting(address, 6, request(path)) as stuck:
        await asyncio.sleep(2)
        assert await status(address, path) == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await stuck[0][0].readexactly(200 * RECORD_BYTES)


async def collect(client: httpx.AsyncClient, url: str) -> tuple[list[str], list[int]]:
    """The keys of all pages by their next links, and the length of each page."""
    keys: list[str] = []
    sizes = []
    next_: str | None = url
    while next_:
        answer = await client.get(next_)
        assert answer.status_code == 200, answer.text
        keys += answer.json()
        sizes.append(len(answer.content))
        next_ = str(answer.url.join(answer.links["next"]["url"])) if "next" in answer.links else None
    return keys, sizes


@pytest.mark.parametrize("query", ["page-size=5000", "page-size=300&sort=newest", "page-size=150&name=text&value={}"])
async def test_a_page_has_a_bound_of_bytes_and_the_next_ones_have_the_rest(
    plot: App, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(plot, monkeypatch, page_bytes=PAGE_BYTES)
    transport = httpx.ASGITransport(plot)
    async with httpx.AsyncClient(transport=transport, base_url="http://registers.test") as client:
        text = (await client.get("/plot/records/0000.json")).json()["0000"]["item"][0]["text"]
        keys, sizes = await collect(client, "/plot/records.json?" + query.format(text))
        wanted = [f"{number:04}" for number in range(0, RECORDS, 4 if "value" in query else 1)]
        assert sorted(keys) == wanted
        assert len(keys) == len(wanted)
        assert max(sizes) < PAGE_BYTES + 3 * RECORD_BYTES
        counted = await client.get("/plot/records.json?page-size=300&page-index=2")
        assert (counted.status_code, "more than one page holds" in counted.text) == (400, True)
        assert (await client.get("/plot/records.json?page-size=100&page-index=2")).status_code == 200


async def test_changes_have_a_bound_of_bytes_too(plot: App, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(plot, monkeypatch, page_bytes=PAGE_BYTES)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(plot), base_url="http://registers.test") as client:
        keys: list[str] = []
        path: str | None = "/plot/diff.json?from=0&limit=1000"
        while path:
            answer = await client.get(path)
            assert len(answer.content) < PAGE_BYTES + 3 * RECORD_BYTES
            keys += [change["key"] for change in answer.json()]
            path = str(answer.url.join(answer.links["next"]["url"])) if "next" in answer.links else None
        assert keys == [f"{number:04}" for number in range(RECORDS)]
