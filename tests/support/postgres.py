"""A real Postgres for the tests: the embedded server once a session, a database for each test."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mintmark.postgres import privileges
from mintmark.postgres.binaries import find_binaries
from mintmark.postgres.server import ADMIN, SETTINGS, USER, EmbeddedServer
from mintmark.store.connection.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping
    from pathlib import Path
    from typing import Any, Self

T = TypeVar("T")
KINDS = ("mint", "read")
REPLICATED = {**SETTINGS, "wal_level": "replica", "max_wal_senders": "4"}  # of a server that has a standby


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
async def running(
    directory: Path, database: str = "mint", settings: Mapping[str, str] = SETTINGS
) -> AsyncIterator[EmbeddedServer]:
    """A server of its own, with one database."""
    server = EmbeddedServer(directory, settings=settings)
    await server.start([database])
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def standby(primary: EmbeddedServer, directory: Path) -> AsyncIterator[EmbeddedServer]:
    """A streaming standby of a server that was started with REPLICATED."""
    server, programs = EmbeddedServer(directory, settings=REPLICATED), find_binaries(None).directory
    server._make_directory()
    shutil.copytree(primary.directory / "passwords", directory / "passwords", copy_function=shutil.copy2)
    user = await privileges.choose_user(server.directory, programs / "postgres")
    of = conninfo_to_dict(primary.conninfo("postgres", ADMIN))
    copy = (str(programs / "pg_basebackup"), "-D", str(directory / "data"), "-R", "--checkpoint=fast", "--no-sync")
    lock = os.open(directory / "lock", os.O_RDWR)
    process = await server._spawn(user, (*copy, "-h", str(of["host"]), "-p", str(of["port"]), "-U", ADMIN), lock)
    assert await process.wait() == 0, server._last_words()
    os.close(lock)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
