"""Downloads are streams: as much memory for a large register as for a small one, no work for a client that has gone,
and never an end that looks whole where something broke.
"""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
import uvicorn

from mintmark.errors import Rejected
from mintmark.register import canonical
from mintmark.register.tables import read_csv, read_tsv
from tests.api.conftest import connect, limit, mirror, opened, world
from tests.support.lighthouse import define_field, define_register, system, user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.api.app import App
    from tests.support.postgres import TestPostgres

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL, LARGE = 600, 3_000
READERS = {"csv": read_csv, "tsv": read_tsv}
PATHS = [
    "download-records.csv", "download-records.tsv", "download-records.ttl", "download-records.jsonl",
    "download-log.jsonl", "download-rsf", "download-register",
]  # fmt: skip


def plots() -> Any:
    """A register of LARGE entries, with semicolons in lists; the last breaks the schema, which CSV cannot say."""
    rows = [
        system(*define_field("plot")),
        system(*define_field("names", cardinality="n")),
        system(*define_register("plot", ["plot", "names"])),
    ]
    for number in range(LARGE - len(rows)):
        last = number == LARGE - 4
        names = "first" if last else ["first", "sec;ond" if number % 7 == 0 else "second"]
        rows.append(user(str(number), canonical.format({"plot": str(number), "names": names})))
    return world("plot", rows)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plot(postgres: TestPostgres) -> AsyncIterator[App]:
    name = postgres.create("read")
    await mirror(postgres.server.conninfo(name), plots())
    async with opened(postgres.server.conninfo(name), {}) as app:
        yield app
    postgres.drop(name)


def scope_of(path: str, **more: Any) -> dict[str, Any]:
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    return scope | {"scheme": "http"} | more


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def length(app: App, path: str, *headers: tuple[bytes, bytes]) -> int:
    """How many bytes an answer has, each thrown away when it came."""
    total = 0

    async def send(message: Any) -> None:
        nonlocal total
        total += len(message.get("body", b""))
        await asyncio.sleep(0)

    await app(scope_of(path, headers=list(headers)), never, send)
    return total


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [[], [(b"accept-encoding", b"gzip")]], ids=["plain", "gzip"])
async def test_memory_does_not_grow_with_the_register(
    plot: App, path: str, headers: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(plot, monkeypatch, batch_rows=200)
    peaks = []
    for size in (SMALL, LARGE - 1):
        await length(plot, f"/plot/{path}?at={size}")  # what is kept is there already
        tracemalloc.start()
        assert await length(plot, f"/plot/{path}?at={size}", *headers) > size
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


async def test_a_client_that_has_gone_is_not_read_for(plot: App, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(plot, monkeypatch, batch_rows=100)
    parts = 0
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal parts
        parts += 1
        if parts == 5:
            gone.set()
        await asyncio.sleep(0.001)

    await plot(scope_of("/plot/download-log.jsonl"), receive, send)
    assert 5 <= parts < 10


async def test_a_fault_in_a_stream_is_no_end(plot: App) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(Rejected, match="record '2996': names is one string"):
        await plot(scope_of("/plot/download-records.csv"), never, send)
    assert sent[0]["status"] == 200
    assert all(message.get("more_body") for message in sent[1:])


@asynccontextmanager
async def on_a_port(app: App) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http="httptools", lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


async def test_a_client_sees_that_a_stream_broke_off(plot: App) -> None:
    async with on_a_port(plot) as url, httpx.AsyncClient() as client:
        whole = await client.get(f"{url}/plot/download-records.csv?at={LARGE - 1}")
        assert len(whole.text.splitlines()) == LARGE - 3
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url}/plot/download-records.csv")
        assert (await client.get(f"{url}/plot/records.csv?page-size=5000&sort=newest")).status_code == 406
        assert (await client.get(f"{url}/plot/records.json?page-size=5000&sort=newest")).status_code == 200


async def test_every_row_of_many_batches_comes_once(plot: App, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(plot, monkeypatch, batch_rows=100)  # of which LARGE is a multiple
    async with connect(plot) as client:
        lines = (await client.get("/plot/download-records.jsonl")).text.splitlines()
        assert len(set(lines)) == len(lines) == LARGE - 3
        rsf = (await client.get("/plot/download-rsf")).text.splitlines()
        assert len(set(rsf)) == len(rsf) == 2 * LARGE + 2


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
async def test_an_empty_string_is_refused_before_the_first_byte(read_db: str, suffix: str) -> None:
    """It is found by the index of values: no register is too large to look."""
    rows = [system(*define_field("plot")), system(*define_field("name"))]
    rows += [system(*define_register("plot", ["plot", "name"]))]
    rows += [user("a", b'{"name":"","plot":"a"}'), user("b", b'{"name":"","plot":"b"}')]
    rows += [user("a", b'{"name":"Now it has one","plot":"a"}')]
    await mirror(read_db, world("plot", rows))
    async with opened(read_db, {}) as app, connect(app) as client:
        answer = await client.get(f"/plot/download-records.{suffix}")
        assert answer.status_code == 406
        assert "record 'b': name is an empty string" in answer.text
        assert "record 'a': name" in (await client.get(f"/plot/download-records.{suffix}?at=4")).text
        assert (await client.get(f"/plot/download-records.{suffix}?at=3")).status_code == 200
        assert (await client.get(f"/plot/records.{suffix}")).status_code == 406
        assert (await client.get("/plot/download-records.jsonl")).status_code == 200


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
async def test_a_list_where_the_schema_has_one_string_is_no_end(read_db: str, suffix: str) -> None:
    rows = [system(*define_field("plot")), system(*define_field("name"))]
    rows += [system(*define_register("plot", ["plot", "name"]))]
    rows += [user("a", b'{"name":"[\\"no\\",\\"list\\"]","plot":"a"}'), user("b", b'{"name":["x"],"plot":"b"}')]
    await mirror(read_db, world("plot", rows))
    async with opened(read_db, {}) as app, connect(app) as client:
        answer = await client.get(f"/plot/download-records.{suffix}?at=4")
        assert [row.item for row in READERS[suffix](answer.content)] == [{"plot": "a", "name": '["no","list"]'}]
        with pytest.raises(Rejected, match="record 'b': name is a list"):
            await app(scope_of(f"/plot/download-records.{suffix}"), never, swallow)


async def swallow(message: Any) -> None:
    """Takes what is sent."""
