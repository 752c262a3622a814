"""A real Postgres of our own: a foreground child, on a unix socket.

    DIRECTORY/data        the cluster; made as data.new and renamed when it is whole and on disk
    DIRECTORY/lock        held by the server itself and all of its processes (`server_lock`)
    DIRECTORY/server.log  what it prints
    DIRECTORY/.s.PGSQL.5432

Crash order. The server gets SIGINT from the kernel when we end, however that comes, and shuts down; the next start
waits for the lock, asks whoever still holds it to stop, and lets Postgres recover what was not written. No process is
killed with SIGKILL, and fsync is always on.

As root the child runs as an unprivileged user, without one made for it or a directory's mode changed (`account`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from typing import TYPE_CHECKING, BinaryIO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mintmark.errors import MintmarkError, Misconfigured
from mintmark.postgres import binaries, privileges
from mintmark.postgres import lock as server_lock
from mintmark.postgres.socket_path import client_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mintmark.postgres.privileges import RunAs

ADMIN, USER = "postgres", "mintmark"  # the cluster's superuser, and who owns the databases
PORT = "5432"  # only the socket's name
PATIENCE = 60.0  # seconds from a fast shutdown to an immediate one
LOOK = 0.02  # seconds between looks
LOG_MOST = 16 * 2**20  # bytes; a larger log is begun anew at start
COMPLAINT = re.compile(r"(FATAL|PANIC|error): +(?!the database system is)")
FOREIGN = ("incompatible with server", "byte ordering", "incorrect checksum in control")  # signs of another machine

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": "..",  # from the data directory: no path is too long
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    # One machine, no replicas: only what recovery needs is written ahead; checkpoints come by time, not by volume.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # statements here take less than compiling them
    "max_parallel_workers_per_gather": "0",  # shared memory beyond the server's own is small in a container
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
INITDB = (
    *("--username", ADMIN, "--locale=C", "--encoding=UTF8", "--data-checksums"),
    *("--auth-local=trust", "--auth-host=reject", "--no-instructions"),  # the socket's directory is ours alone
)


class EmbeddedServer:
    """Postgres in one directory. `start`, then `conninfo` and `wait`, then `stop`; it may be started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute().resolve()
        self.log = self.directory / "server.log"
        self._data = self.directory / "data"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, databases: Sequence[str] = ()) -> None:
        """Starts the server, recovers what a crash left, and makes the databases that are not there.

        Raises Misconfigured, naming the fix, where it cannot; MintmarkError with the server's own words otherwise.
        """
        self._own()
        lock = await server_lock.acquire(self.directory / "lock", self._data)
        try:
            programs = binaries.find(self._major())
            user = await privileges.choose(self.directory, programs.directory / "postgres")
            if not self._data.exists():
                await self._init(user, programs.directory, lock)
            command = (str(programs.directory / "postgres"), "-D", str(self._data), *_flags())
            self._process = await self._spawn(user, command, lock)
        finally:
            os.close(lock)
        try:
            await self._ready()
            await self._create(databases)
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def wait(self) -> str:
        """Waits for the server to end; why it did."""
        if self._process is None:
            raise AssertionError("started first")
        code = await self._process.wait()
        return signal.Signals(-code).name if code < 0 else self._last_words()

    async def stop(self) -> None:
        """Shuts the server down cleanly: no recovery at the next start, unless it takes more than a minute."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), PATIENCE)
                return
        await process.wait()

    def conninfo(self, database: str, user: str = USER) -> str:
        """The connection string of a database."""
        host = str(client_path(self.directory, PORT))
        return make_conninfo(host=host, port=PORT, user=user, dbname=database)

    def _own(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.directory / "lock").touch(mode=0o600)
        except OSError as error:
            raise Misconfigured(
                f"{self.directory} cannot be written: {error.strerror}; choose another directory"
            ) from error

    def _major(self) -> int | None:
        """The version that wrote the data; None where there are none yet."""
        if not self._data.exists():
            return None
        try:
            return int((self._data / "PG_VERSION").read_text())
        except (OSError, ValueError) as error:
            raise Misconfigured(
                f"{self._data} is not a Postgres data directory; move it away, or choose another directory"
            ) from error

    async def _init(self, user: RunAs, programs: Path, lock: int) -> None:
        """Makes the cluster, whole or not at all."""
        new = self.directory / "data.new"
        if new.exists():
            shutil.rmtree(new)
        process = await self._spawn(user, (str(programs / "initdb"), "-D", str(new), *INITDB), lock)
        try:
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if code != 0:
            raise MintmarkError(f"Postgres could not make its data directory: {self._last_words()}")
        new.rename(self._data)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def _spawn(self, user: RunAs, command: Sequence[str], lock: int) -> asyncio.subprocess.Process:
        """A child in its own process group, so that a terminal's Ctrl-C leaves the order of stopping to us."""
        with self._open_log() as log:
            return await asyncio.create_subprocess_exec(
                *user.launch(self.directory, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=privileges.ENVIRONMENT,
                pass_fds=(lock,),
                process_group=0,
            )

    async def _ready(self) -> None:
        """Waits for connections to be taken: as long as recovery needs, while the server lives."""
        while True:
            if self._process is None or self._process.returncode is not None:
                raise self._explain()
            try:
                async with await psycopg.AsyncConnection.connect(self.conninfo("postgres", ADMIN)):
                    return
            except psycopg.OperationalError:
                await asyncio.sleep(LOOK)

    def _explain(self) -> MintmarkError:
        words = self._last_words()
        if any(sign in words for sign in FOREIGN):
            return Misconfigured(
                f"{self._data} was written on another kind of machine, or is damaged ({words}); dump it where it was "
                "written with pg_dump, or choose another directory and mirror the logs again"
            )
        return MintmarkError(f"Postgres did not start: {words}; its log is {self.log}")

    async def _create(self, databases: Sequence[str]) -> None:
        connect = psycopg.AsyncConnection.connect(self.conninfo("postgres", ADMIN), autocommit=True)
        async with await connect as conn:
            if await (await conn.execute("select from pg_roles where rolname = %s", (USER,))).fetchone() is None:
                await conn.execute(sql.SQL("create role {} login").format(sql.Identifier(USER)))
            here = {row[0] for row in await (await conn.execute("select datname from pg_database")).fetchall()}
            for database in (name for name in databases if name not in here):
                create = sql.SQL("create database {} owner {}")
                await conn.execute(create.format(sql.Identifier(database), sql.Identifier(USER)))

    def _open_log(self) -> BinaryIO:
        full = self.log.exists() and self.log.stat().st_size > LOG_MOST
        return self.log.open("wb" if full else "ab")

    def _last_words(self) -> str:
        """The last complaint in its log, without time and process id."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if COMPLAINT.search(line)]
        line = (told or lines or ["it said nothing"])[-1]
        return line.partition("] ")[2] or line


def _flags() -> list[str]:
    return [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
