"""A real Postgres of our own: a foreground child, on a unix socket in its data directory's parent (DESIGN section 6).

    DIRECTORY/data        the cluster; made as data.new and renamed when it is whole and on disk
    DIRECTORY/lock        held by the server itself and all of its processes: free means that none is left
    DIRECTORY/server.log  what it prints
    DIRECTORY/.s.PGSQL.5432

Crash order. The server gets SIGINT from the kernel when we end, however that comes, and shuts down; the next start waits
for the lock, asks whoever still holds it to stop, and lets Postgres recover what was not written. No process is killed
with SIGKILL, and no postmaster.pid is removed of a process that is a server here. fsync is always on.

As root the child runs as an unprivileged user, without one made for it and without a directory's mode changed (`account`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mintmark.errors import MintmarkError, Misconfigured
from mintmark.store import account, binaries
from mintmark.store.socket_path import client_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.store.account import Account

ADMIN, USER = "postgres", "mintmark"  # the cluster's superuser, and who owns the databases
PORT = "5432"  # only the socket's name
ASKED, URGED, GIVEN_UP = 0.0, 30.0, 60.0  # seconds of waiting for another server here: SIGINT, SIGQUIT, an error
PATIENCE = 60.0  # seconds from a fast shutdown to an immediate one
LOOK = 0.02  # seconds between looks
LOG_MOST = 16 * 2**20  # bytes; a larger log is begun anew at start

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
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # statements here take less than compiling them
    "max_parallel_workers_per_gather": "0",  # shared memory beyond the server's own is small in a container
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
        self._data = self.directory / "data"
        self._process: asyncio.subprocess.Process | None = None
        self._account: Account | None = None

    async def start(self, databases: Sequence[str] = ()) -> None:
        """Starts the server, recovers what a crash left, and makes the databases that are not there.

        Raises Misconfigured, naming the fix, where it cannot; MintmarkError with the server's own words otherwise.
        """
        self._own()
        lock = await self._lock()
        try:
            programs = binaries.find(self._major())
            self._account = await account.choose(self.directory, programs.directory / "postgres")
            if not self._data.exists():
                await self._init(programs.directory, lock)
            command = (str(programs.directory / "postgres"), "-D", str(self._data), *_flags())
            with self._log() as log:
                self._process = await self._spawn(command, lock, log)
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
        return f"{signal.Signals(-code).name if code < 0 else f'exit {code}'}; {self._last_words()}"

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

    async def _lock(self) -> int:
        """The directory's lock. Whatever server of a former run still holds it is asked to stop, then urged."""
        lock = os.open(self.directory / "lock", os.O_RDWR)
        began, steps = monotonic(), [(ASKED, signal.SIGINT), (URGED, signal.SIGQUIT)]
        while not self._free(lock):
            waited = monotonic() - began
            if waited > GIVEN_UP:
                os.close(lock)
                raise Misconfigured(f"another Postgres runs in {self.directory} and does not stop; end it first")
            if steps and waited >= steps[0][0] and (orphan := self._postmaster()) is not None:
                os.kill(orphan, steps.pop(0)[1])
            await asyncio.sleep(LOOK)
        return lock

    def _free(self, lock: int) -> bool:
        """Whether we hold the lock now, and no server that somebody started by hand is here."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._postmaster() is not None:
            return False
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # or a reused process id would keep Postgres away
        return True

    def _postmaster(self) -> int | None:
        """The process id of the server that runs on our data."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        except PermissionError:
            return pid
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                return pid if Path(f"/proc/{pid}/cwd").samefile(self._data) else None
        return pid

    async def _init(self, programs: Path, lock: int) -> None:
        """Makes the cluster, whole or not at all."""
        new = self.directory / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        with self._log() as log:
            process = await self._spawn((str(programs / "initdb"), "-D", str(new), *INITDB), lock, log)
            try:
                code = await process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
        if code != 0:
            raise MintmarkError(f"Postgres could not make its data directory: {self._last_words()}")
        new.rename(self._data)
        self._sync()

    def _sync(self) -> None:
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def _spawn(self, command: Sequence[str], lock: int, log: BinaryIO) -> asyncio.subprocess.Process:
        """A child in its own process group, so that a terminal's Ctrl-C leaves the order of stopping to us."""
        if self._account is None:
            raise AssertionError("chosen first")
        return await asyncio.create_subprocess_exec(
            *self._account.launch(self.directory, command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=account.ENVIRONMENT,
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
        if any(
            sign in words for sign in ("incompatible with server", "byte ordering", "incorrect checksum in control")
        ):
            return Misconfigured(
                f"{self._data} was written on another kind of machine, or is damaged ({words}); dump it where it was "
                "written with pg_dump, or choose another directory and mirror the logs again"
            )
        return MintmarkError(f"Postgres did not start: {words}; its log is {self.directory / 'server.log'}")

    async def _create(self, databases: Sequence[str]) -> None:
        connect = psycopg.AsyncConnection.connect(self.conninfo("postgres", ADMIN), autocommit=True)
        async with await connect as conn:
            roles = await (await conn.execute("select 1 from pg_roles where rolname = %s", (USER,))).fetchone()
            if not roles:
                await conn.execute(sql.SQL("create role {} login").format(sql.Identifier(USER)))
            here = {row[0] for row in await (await conn.execute("select datname from pg_database")).fetchall()}
            for database in (name for name in databases if name not in here):
                create = sql.SQL("create database {} owner {}")
                await conn.execute(create.format(sql.Identifier(database), sql.Identifier(USER)))

    def _log(self) -> BinaryIO:
        path = self.directory / "server.log"
        fresh = not path.exists() or path.stat().st_size > LOG_MOST
        return path.open("wb" if fresh else "ab")

    def _last_words(self) -> str:
        """The last complaint in its log, without time and process id."""
        with (self.directory / "server.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if any(f"{level}: " in line for level in ("FATAL", "PANIC", "error"))]
        line = (told or lines or ["it said nothing"])[-1]
        return line.partition("] ")[2] or line


def _flags() -> list[str]:
    return [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
