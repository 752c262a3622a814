"""Real registers in a read database, put there by the mirror's own step, and a client of the API over it.

What only reads is one event loop's: the application of a session, and the tests that ask for `client`.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest
import pytest_asyncio

from mintmark.api.server import opened
from mintmark.mirror.catch_up import CatchUp
from mintmark.register.entry import format_entry
from mintmark.register.rsf import read_rsf
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.store.registers.register_store import ReadLimits
from mintmark.tlog.note import generate_skey
from tests.support import evolving
from tests.support.lighthouse import ROWS
from tests.support.published_facts import SHARED, UNPUBLISHED
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from mintmark.api.app import App
    from mintmark.register.entry import Entry
    from tests.support.postgres import TestPostgres

DOMAIN = "registers.test"
ELSEWHERE = {"company": "https://company.elsewhere.example/records/"}


def world(name: str, rows: Iterable[tuple[Entry, bytes | None]] = ()) -> World:
    """An honest register log of these entries and items."""
    origin = f"{DOMAIN}/{name}"
    made = World(origin, "register", generate_skey(origin))
    if rows := list(rows):
        made.append([format_entry(entry) for entry, _ in rows], [item or b"" for _, item in rows])
    return made


async def mirror(database: str, *worlds: World) -> None:
    """Brings each world's newest head into a read database."""
    async with open_pool(database, 2) as pool:
        for made in worlds:
            follower = CatchUp(ReadStore(pool), made.origin, made.verifiers)
            assert await follower.step(made, made.notes[-1], "register")


@pytest.fixture(scope="session")
def published() -> dict[str, World]:
    """The published registers as worlds, by name."""
    files = sorted(SHARED.glob("*.rsf"))
    if not files:
        pytest.skip(UNPUBLISHED)
    return {file.stem: world(file.stem, ((r.entry, r.item) for r in read_rsf(file.read_bytes()))) for file in files}


@pytest.fixture(scope="session")
def golden(published: dict[str, World]) -> dict[str, dict[str, object]]:
    """What is known of each published register, by name."""
    found = json.loads((SHARED / "golden-roots.json").read_text())
    return {name.removesuffix(".rsf"): known for name, known in found.items() if "/" not in name}


@pytest.fixture(scope="session")
def published_db(postgres: TestPostgres, published: dict[str, World]) -> Iterator[str]:
    """A read database with the published registers. Tests only read it."""
    name = postgres.create("read")
    database = postgres.server.conninfo(name)
    asyncio.run(mirror(database, *published.values()))
    yield database
    postgres.drop(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app(published_db: str) -> AsyncIterator[App]:
    """The API over the published registers."""
    async with opened(published_db, ELSEWHERE) as app:
        yield app


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API over the published registers."""
    async with connect(app) as client:
        yield client


def limit(app: App, monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """Gives the store of an application other limits, for one test."""
    monkeypatch.setattr(app.registers.store, "limits", ReadLimits(**limits))


def connect(app: App, host: str = "registers.test") -> httpx.AsyncClient:
    """A client of an application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lighthouse(postgres: TestPostgres) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API over one small register, the one that the v1 reference shows. Tests only read it."""
    name = postgres.create("read")
    database = postgres.server.conninfo(name)
    await mirror(database, world("lighthouse", ROWS))
    async with opened(database, ELSEWHERE) as app, connect(app) as client:
        yield client
    postgres.drop(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rooms(postgres: TestPostgres) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API over one register with a history. Tests only read it."""
    name = postgres.create("read")
    database = postgres.server.conninfo(name)
    await mirror(database, world("room", evolving.rows()))
    async with opened(database, {}) as app, connect(app) as client:
        yield client
    postgres.drop(name)
