"""The embedded Postgres: a real server, as a foreground child, on a unix socket.

    DIRECTORY/data           the cluster; made as data.new, and renamed once it is whole and on disk
    DIRECTORY/lock           held by the server and all of its processes (`directory`)
    DIRECTORY/server.log     the output of the server
    DIRECTORY/.s.PGSQL.5432  its socket
    DIRECTORY/passwords/     a file for each role, of mode 0600, which its connection string names

The superuser is whoever runs this: the system's user, as the socket tells it. Everybody else needs a role's password.

Crash order: when this process ends, in whatever way, the kernel sends SIGINT to the server, which shuts down. The next
start waits for the lock, stops the server that still holds it, and lets Postgres recover what was not written. No
process gets SIGKILL, and fsync is always on.

As root, the child runs as an unprivileged user that exists already (`privileges`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
from typing import TYPE_CHECKING, BinaryIO

from mintmark.errors import MintmarkError, Misconfigured
from mintmark.files import sync_directory, write_durably
from mintmark.postgres import privileges
from mintmark.postgres.binaries import find_binaries
from mintmark.postgres.directory import Takeover, acquire_lock, socket_directory
from mintmark.store.connection.roles import (
    accepts_connections,
    create_databases,
    create_roles,
    socket_conninfo,
    take_over,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mintmark.postgres.binaries import Binaries
    from mintmark.postgres.privileges import RunAs

ADMIN, USER = "postgres", "mintmark"  # the cluster's superuser, and the owner of databases that have no other
PORT = "5432"  # only a part of the socket's name
FAST_SHUTDOWN_SECONDS = 60.0  # until an immediate shutdown
READY_POLL_INTERVAL_SECONDS = 0.02
MAX_LOG_BYTES = 16 * 2**20  # a start empties a larger log
LOG_TAIL_BYTES = 16_384  # searched for the last complaint
COMPLAINT = re.compile(r"(FATAL|PANIC|error): +(?!the database system is)")
# Complaints about data that another kind of machine wrote.
FOREIGN_DATA = ("incompatible with server", "byte ordering", "incorrect checksum in control")

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": "..",  # relative to the data directory: no path is too long
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
INITDB_OPTIONS = (
    *("--username", ADMIN, "--locale=C", "--encoding=UTF8", "--data-checksums"),
    *("--auth-local=peer", "--auth-host=reject", "--no-instructions"),
)
ACCESS = f"""\
# Written at each start.
local all,replication {ADMIN} peer map=owner
local all all scram-sha-256
"""
PASSWORD_BYTES = 32


class EmbeddedServer:
    """Postgres in one directory. `start`, then `conninfo` and `wait`, then `stop`; it may be started again."""

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] = SETTINGS,
        programs: Binaries | None = None,
        takeover: Takeover = Takeover(),  # noqa: B008  # immutable
    ) -> None:
        """A server in `directory`; `programs`: the Postgres to run, None: the best that fits the data."""
        self.directory = directory.absolute().resolve()
        self._settings, self._programs, self._takeover = settings, programs, takeover
        self.log = self.directory / "server.log"
        self._data = self.directory / "data"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, databases: Sequence[str] = ()) -> None:
        """Starts the server, recovers from a crash, and creates the databases that do not exist, as USER's.

        Raises Misconfigured with the fix where the operator can mend it; MintmarkError with the server's own words.
        """
        self._make_directory()
        lock = await acquire_lock(self.directory / "lock", self._data, self._takeover)
        try:
            await self._launch(lock)
        finally:
            os.close(lock)  # the server and its processes hold it
        try:
            await self._ready()
            if databases:
                await self.create_roles(USER)
                await create_databases(self._admin, dict.fromkeys(databases, USER))
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def create_roles(self, *roles: str) -> None:
        """Creates roles where they do not exist, each with a password in a file of its own."""
        await create_roles(self._admin, {role: self._password(role) for role in roles})

    async def own(self, owners: Mapping[str, str]) -> None:
        """Creates databases (name -> role) where they do not exist; those that were USER's get these owners."""
        await self.create_roles(*dict.fromkeys(owners.values()))
        await create_databases(self._admin, owners)
        await take_over(self._admin, USER, owners)

    @property
    def _admin(self) -> str:
        return self.conninfo("postgres", ADMIN)

    def _password(self, role: str) -> str:
        """The password of a role, made where there is none."""
        file = self.directory / "passwords" / role
        if not file.exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            write_durably(file, f"*:*:*:{role}:{secrets.token_urlsafe(PASSWORD_BYTES)}\n".encode(), mode=0o600)
        return file.read_text().strip().rpartition(":")[2]

    async def _launch(self, lock: int) -> None:
        """Makes the cluster if there is none, and starts the server on it."""
        programs = self._programs or find_binaries(self._major())
        user = await privileges.choose_user(self.directory, programs.directory / "postgres")
        if not self._data.exists():
            await self._init(user, programs.directory, lock)
        self._write_access()
        flags = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = (str(programs.directory / "postgres"), "-D", str(self._data), *flags)
        self._process = await self._spawn(user, command, lock)

    async def wait(self) -> str:
        """Waits for the server to end; returns the reason."""
        if self._process is None:
            raise AssertionError("started first")
        code = await self._process.wait()
        return signal.Signals(-code).name if code < 0 else self._last_words()

    async def stop(self) -> None:
        """Shuts the server down: cleanly, without recovery at the next start, unless that takes more than a minute."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), FAST_SHUTDOWN_SECONDS)
                return
        await process.wait()

    def conninfo(self, database: str, user: str = USER) -> str:
        """The connection string of a database."""
        directory = socket_directory(self.directory, PORT)
        passfile = None if user == ADMIN else directory / "passwords" / user
        return socket_conninfo(directory, PORT, user, database, passfile)

    def _write_access(self) -> None:
        """Who may connect: the superuser by the system's name of who runs this, or of who the server runs as."""
        names = {pwd.getpwuid(uid).pw_name for uid in (os.geteuid(), self._data.stat().st_uid)}
        (self._data / "pg_hba.conf").write_text(ACCESS)
        (self._data / "pg_ident.conf").write_text("".join(f'owner "{name}" {ADMIN}\n' for name in sorted(names)))

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.directory / "lock").touch(mode=0o600)
        except OSError as error:
            raise Misconfigured(
                f"{self.directory} cannot be written: {error.strerror}; choose another directory"
            ) from error

    def _major(self) -> int | None:
        """The major version that wrote the data; None where there is none yet."""
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
        process = await self._spawn(user, (str(programs / "initdb"), "-D", str(new), *INITDB_OPTIONS), lock)
        try:
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if code != 0:
            raise MintmarkError(f"Postgres could not make its data directory: {self._last_words()}")
        new.rename(self._data)
        sync_directory(self.directory)

    async def _spawn(self, user: RunAs, command: Sequence[str], lock: int) -> asyncio.subprocess.Process:
        """Starts a child in its own process group: a terminal's Ctrl-C must leave the order of stopping to us."""
        with self._open_log() as log:
            return await asyncio.create_subprocess_exec(
                *user.command_line(self.directory, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=privileges.ENVIRONMENT,
                pass_fds=(lock,),
                process_group=0,
            )

    async def _ready(self) -> None:
        """Waits until the server accepts connections: as long as recovery takes, while it lives."""
        while True:
            if self._process is None or self._process.returncode is not None:
                raise self._explain()
            if await accepts_connections(self.conninfo("postgres", ADMIN)):
                return
            await asyncio.sleep(READY_POLL_INTERVAL_SECONDS)

    def _explain(self) -> MintmarkError:
        words = self._last_words()
        if any(sign in words for sign in FOREIGN_DATA):
            return Misconfigured(
                f"{self._data} was written on another kind of machine, or is damaged ({words}); dump it where it was "
                "written with pg_dump, or choose another directory and mirror the logs again"
            )
        return MintmarkError(f"Postgres did not start: {words}; its log is {self.log}")

    def _open_log(self) -> BinaryIO:
        full = self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES
        return self.log.open("wb" if full else "ab")

    def _last_words(self) -> str:
        """The last complaint in the log, or its last line, without time and process id."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError as error:
            return f"its log cannot be read: {error.strerror}"
        complaints = [line for line in lines if COMPLAINT.search(line)]
        line = (complaints or lines or ["it said nothing"])[-1]
        return line.partition("] ")[2] or line
