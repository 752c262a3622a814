"""A real Postgres for the tests: the embedded server once a session, a database for each test."""

from __future__ import annotations

import asyncio
import itertools
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import psycopg

from mintmark.postgres.server import ADMIN, USER, EmbeddedServer
from mintmark.store.connection.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path
    from typing import Any, Self

T = TypeVar("T")
KINDS = ("mint", "read")


class TestPostgres:
    """One server, on an event loop of its own, for a test's loop ends with the test."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self.server = EmbeddedServer(directory)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._number = itertools.count(1)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def create(self, kind: str | None) -> str:
        """Makes a database, empty or with the schema of a kind; returns its name."""
        name = f"{kind or 'empty'}_{next(self._number)}"
        self.execute(f"create database {name} template {f'template_{kind}' if kind else 'template0'} owner {USER}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"drop database if exists {name} with (force)")

    def role(self, name: str) -> str:
        """A role that may connect and do nothing else; its name."""
        self._run(self.server.create_roles(name))
        return name

    def execute(self, statement: str) -> None:
        """Runs a statement as the superuser."""
        with psycopg.connect(self.server.conninfo("postgres", ADMIN), autocommit=True) as conn:
            conn.execute(statement)

    async def _begin(self) -> None:
        await self.server.start([f"template_{kind}" for kind in KINDS])
        for kind in KINDS:
            await migrate(self.server.conninfo(f"template_{kind}"), kind)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[EmbeddedServer]:
    """A server of its own, with the database `mint`."""
    server = EmbeddedServer(directory)
    await server.start(["mint"])
    try:
        yield server
    finally:
        await server.stop()
