"""Applications of the read API over real registers, and clients of them.

The application of the session, and the tests that use `client`, run on one event loop.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from mintmark.api.server import opened
from mintmark.store.registers.register_store import ReadLimits
from tests.support import evolving
from tests.support.lighthouse import ROWS
from tests.support.published_facts import SHARED, UNPUBLISHED
from tests.support.read_api import ELSEWHERE, connect, mirror, world
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx

    from mintmark.api.app import App
    from tests.support.postgres import TestPostgres
    from tests.support.world import World


@pytest.fixture(scope="session")
def published() -> dict[str, World]:
    """The published registers as worlds, by name."""
    files = sorted(SHARED.glob("*.rsf"))
    if not files:
        pytest.skip(UNPUBLISHED)
    return {file.stem: world(file.stem, ((r.entry, r.item) for r in read_rsf(file.read_bytes()))) for file in files}


@pytest.fixture(scope="session")
def golden(published: dict[str, World]) -> dict[str, dict[str, object]]:
    """The known facts of each published register, by name."""
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
