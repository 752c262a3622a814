"""The fault campaign: workers, the mint and both Postgres servers are killed at random while clients append.

What must hold at its end, for every log: one linear history, the same in both databases (`tests.oracle`); every
acknowledged entry in it, once, where the acknowledgement said; nothing else.

    python -m tests.e2e.campaign [--runs N] [--minutes M] [--seed S]      one line of JSON a run
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import psycopg

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import Busy, Conflict, NotAvailableYet, NotFound, Unavailable
from mintmark.postgres.server import EmbeddedServer
from mintmark.register import canonical
from mintmark.register.entry import format_entry
from mintmark.rpc.client import RpcClient
from mintmark.store.connection.migrate import migrate
from mintmark.tlog import bundle
from tests.support.lighthouse import define_field, define_register, entry, system
from tests.support.oracle import check_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mintmark.tlog.note import Verifier

T = TypeVar("T")

DOMAIN, TOKEN = "campaign.example", "a campaign's token"
WORKERS, LOGS, REGISTERS, CLIENTS = 3, 40, 8, 4
SETTLE = 180.0  # seconds for everything to be mirrored once nothing is killed any more
CONFIG = """
[mint]
database = {mint}
listen = "127.0.0.1:{port}"
keys = "mint/keys"
tokens = "mint/tokens.toml"

[mirror]
database = {read}
sources = ["127.0.0.1:{port}"]
trust = "trust"
"""


@dataclass
class Written:
    """What was acknowledged of one log: where, and the entry itself."""

    origin: str
    kind: str
    verifiers: list[Verifier]
    acknowledged: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.origin.rpartition("/")[2]

    def definitions(self) -> list[tuple[bytes, bytes]]:
        """What a register begins with."""
        key = define_field(self.name)
        register = define_register(self.name, [self.name, "text"], text="A register", registry="campaign", phase="beta")
        named = ("name", canonical.format({"name": self.name}))
        rows = [system(*what) for what in (named, key, define_field("text"), register)]
        return [(format_entry(leaf), item) for leaf, item in rows]

    def batch(self, chance: random.Random, number: int) -> list[tuple[bytes, bytes]]:
        """New entries, no two alike."""
        texts = [f"{number}-{at}-{chance.getrandbits(64):x}" for at in range(chance.choice([1, 1, 3, 20, 300]))]
        if self.kind == "opaque":
            return [(text.encode(), b"") for text in texts]
        items = [(f"K{chance.randrange(30)}", text) for text in texts]
        made = [(key, canonical.format({self.name: key, "text": text})) for key, text in items]
        return [(format_entry(entry(key, item)), item) for key, item in made]


class Deployment:
    """Two Postgres servers, a mint and workers, as processes. What is killed is started again."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.place = directory, DeploymentDir(directory)
        self.postgres = {name: EmbeddedServer(directory / name) for name in ("mint-db", "read-db")}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.kills: Counter[str] = Counter()
        self._down: set[str] = set()  # killed, and to be started again by who killed it
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def mint(self) -> str:
        return self.postgres["mint-db"].conninfo("mint")

    @property
    def read(self) -> str:
        return self.postgres["read-db"].conninfo("read")

    @property
    def servers(self) -> list[str]:
        return ["mint", *(f"worker-{number}" for number in range(1, WORKERS + 1))]

    async def start(self) -> None:
        for directory in (self.place.keys, self.place.trust, self.place.logs):
            directory.mkdir(parents=True)
        await self.postgres["mint-db"].start(["mint"])
        await self.postgres["read-db"].start(["read"])
        await migrate(self.read, "read")
        self.place.tokens.write_text(format_token("campaign", TOKEN, RIGHTS))
        values = {"mint": json.dumps(self.mint), "read": json.dumps(self.read), "port": self.port}
        self.place.config.write_text(CONFIG.format(**values))
        for name in self.servers:
            await self.begin(name)

    async def begin(self, name: str) -> None:
        """Starts one of the servers."""
        if name in self.postgres:
            await self.postgres[name].start()
            return
        command = "mint" if name == "mint" else "mirror"
        with (self.place.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "mintmark", command, "--config", str(self.place.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ,
            )

    async def kill(self, name: str, pause: float) -> None:
        """SIGKILL, a pause, and a new start."""
        self._down.add(name)
        process = self.postgres[name]._process if name in self.postgres else self.processes[name]
        assert process is not None
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        self.kills[name] += 1
        await asyncio.sleep(pause)
        await self.begin(name)
        self._down.discard(name)

    async def keep(self) -> None:
        """Starts again what ended by itself (its database was away when it began), as a service manager does."""
        while True:
            for name, process in list(self.processes.items()):
                if process.returncode is not None and name not in self._down:
                    await self.begin(name)
            await asyncio.sleep(0.5)

    async def stop(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self.processes.values():
            await process.wait()
        for server in self.postgres.values():
            await server.stop()


class Campaign:
    """One run in one directory."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.deployment, self.chance = deployment, random.Random(seed)
        self.logs: list[Written] = []
        self._number = 0

    async def run(self, seconds: float) -> dict[str, object]:
        """Appends and kills for so long, waits until all is mirrored, and checks everything."""
        await self._create()
        async with asyncio.TaskGroup() as tasks:
            ended = asyncio.Event()
            for _ in range(CLIENTS):
                tasks.create_task(self._write(ended))
            await self._disturb(time.monotonic() + seconds)
            ended.set()
        await self._settle()
        entries = sum([await self._check(log) for log in self.logs])
        return {"entries": entries, "logs": len(self.logs), "kills": dict(self.deployment.kills)}

    async def _create(self) -> None:
        async with self._client() as client:
            for number in range(LOGS):
                kind = "register" if number < REGISTERS else "opaque"
                origin = f"{DOMAIN}/{kind}-{number}"
                log = Written(origin, kind, list(self.deployment.place.adopt(origin)))
                await patiently(lambda log=log: client.create(log.origin, log.kind))
                self.logs.append(log)
                if kind == "register":
                    await self._append(client, log, log.definitions())

    def _client(self) -> RpcClient:
        return RpcClient(f"127.0.0.1:{self.deployment.port}", token=TOKEN)

    async def _write(self, ended: asyncio.Event) -> None:
        """Appends to random logs; a batch is tried, by its request id, until it is acknowledged."""
        async with self._client() as client:
            while not ended.is_set():
                self._number += 1
                log = self.chance.choice(self.logs)
                await self._append(client, log, log.batch(self.chance, self._number))
                await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def _append(self, client: RpcClient, log: Written, rows: list[tuple[bytes, bytes]]) -> None:
        request, entries = secrets.token_bytes(16), bundle.join(leaf for leaf, _ in rows)
        items = bundle.join(item for _, item in rows) if log.kind == "register" else b""
        done = await patiently(lambda: client.append(log.origin, request, entries, items))
        assert done.count == len(rows)
        log.acknowledged += [(done.first + at, leaf) for at, (leaf, _) in enumerate(rows)]

    async def _disturb(self, until: float) -> None:
        victims = [*self.deployment.servers, "mint", "mint-db", "read-db"]
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0.1, 2.0))
            await self.deployment.kill(self.chance.choice(victims), self.chance.uniform(0, 1))

    async def _settle(self) -> None:
        """Waits until the heads of both databases are the same."""
        async with asyncio.timeout(SETTLE):
            while await heads(self.deployment.mint) != await heads(self.deployment.read):  # noqa: ASYNC110  # databases
                await asyncio.sleep(0.2)

    async def _check(self, log: Written) -> int:
        """The history of one log; how many entries it has."""
        sizes = {
            await check_log(where, log.origin, log.verifiers) for where in (self.deployment.mint, self.deployment.read)
        }
        log.acknowledged.sort()
        assert sizes == {len(log.acknowledged)}, f"{log.origin}: {sizes}, {len(log.acknowledged)} were acknowledged"
        assert log.acknowledged == list(enumerate(await stored(self.deployment.read, log.origin)))
        return len(log.acknowledged)


async def heads(database: str) -> dict[str, tuple[int, bytes]]:
    """Origin -> size and root."""
    query = "select origin, size, root from log join head on head.log = log.id"
    async with await psycopg.AsyncConnection.connect(database) as conn:
        return {origin: (size, root) for origin, size, root in await (await conn.execute(query)).fetchall()}


async def stored(database: str, origin: str) -> list[bytes]:
    """Every entry of a log."""
    query = "select entries from bundle join log on log.id = bundle.log where origin = %s order by index"
    async with await psycopg.AsyncConnection.connect(database) as conn:
        return [leaf for (row,) in await (await conn.execute(query, (origin,))).fetchall() for leaf in bundle.cut(row)]


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is tried until it has one."""
    while True:
        try:
            return await call()
        except (Busy, Conflict, NotAvailableYet, NotFound, Unavailable):
            await asyncio.sleep(0.05)


async def campaign(directory: Path, seconds: float, seed: int) -> dict[str, object]:
    """One run of so many seconds. Raises AssertionError where something that must hold does not."""
    deployment = Deployment(directory)
    try:
        await deployment.start()
        keeper = asyncio.create_task(deployment.keep())
        try:
            return {"seed": seed, **await Campaign(deployment, seed).run(seconds)}
        finally:
            keeper.cancel()
    finally:
        await deployment.stop()


@click.command()
@click.option("--runs", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--minutes", type=float, default=3.0, show_default=True, help="Of each run.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first run; each next one is one more.")
def main(runs: int, minutes: float, seed: int) -> None:
    """Kill workers, mint and databases at random, and check that nothing is lost, doubled or forked."""
    for number in range(seed, seed + runs):
        with tempfile.TemporaryDirectory(prefix="mintmark-campaign-", ignore_cleanup_errors=True) as directory:
            click.echo(json.dumps(asyncio.run(campaign(Path(directory), minutes * 60, number))))


if __name__ == "__main__":
    main()
