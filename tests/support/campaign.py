"""The kill campaign: workers, the mint and both Postgres servers are killed at random while clients append.

At its end each log has one linear history, the same in both databases (`tests.support.oracle`). It holds every
acknowledged entry, once and at the acknowledged index, and no other.

    python -m tests.support.campaign [--runs N] [--minutes M] [--seed S]      one line of JSON a run
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import psycopg

from mintmark.client.mint_client import MintClient
from mintmark.errors import Busy, Conflict, NotAvailableYet, NotFound, Unavailable
from mintmark.register import canonical
from mintmark.register.entry import format_entry
from mintmark.tlog import bundle
from tests.support.deployment import TOKEN, Deployment
from tests.support.lighthouse import define_field, define_register, entry, system
from tests.support.oracle import check_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mintmark.tlog.note import Verifier

T = TypeVar("T")

DOMAIN = "campaign.example"
LOG_COUNT, REGISTER_COUNT, CLIENT_COUNT = 40, 8, 4  # registers are among the logs
SETTLE_SECONDS = 180.0  # for everything to be mirrored, once nothing is killed any more


@dataclass
class AppendedLog:
    """The acknowledged entries of one log, each with its index."""

    origin: str
    kind: str
    verifiers: list[Verifier]
    acknowledged: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.origin.rpartition("/")[2]

    def definitions(self) -> list[tuple[bytes, bytes]]:
        """The first entries of a register, with their items."""
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


class Campaign:
    """One run in one directory."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.deployment, self.chance = deployment, random.Random(seed)
        self.logs: list[AppendedLog] = []
        self._number = 0

    async def run(self, seconds: float) -> dict[str, object]:
        """Appends and kills for this time, waits until everything is mirrored, and checks it."""
        await self._create()
        async with asyncio.TaskGroup() as tasks:
            ended = asyncio.Event()
            for _ in range(CLIENT_COUNT):
                tasks.create_task(self._write(ended))
            await self._disturb(time.monotonic() + seconds)
            ended.set()
        await self._settle()
        entries = sum([await self._check(log) for log in self.logs])
        return {"entries": entries, "logs": len(self.logs), "kills": dict(self.deployment.kills)}

    async def _create(self) -> None:
        async with self._client() as client:
            for number in range(LOG_COUNT):
                kind = "register" if number < REGISTER_COUNT else "opaque"
                origin = f"{DOMAIN}/{kind}-{number}"
                log = AppendedLog(origin, kind, list(self.deployment.home.adopt(origin)))
                await until_answered(lambda log=log: client.create(log.origin, log.kind))
                self.logs.append(log)
                if kind == "register":
                    await self._append(client, log, log.definitions())

    def _client(self) -> MintClient:
        return MintClient(f"127.0.0.1:{self.deployment.port}", token=TOKEN)

    async def _write(self, ended: asyncio.Event) -> None:
        """Appends to random logs. A batch is sent again, with its request id, until it is acknowledged."""
        async with self._client() as client:
            while not ended.is_set():
                self._number += 1
                log = self.chance.choice(self.logs)
                await self._append(client, log, log.batch(self.chance, self._number))
                await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def _append(self, client: MintClient, log: AppendedLog, rows: list[tuple[bytes, bytes]]) -> None:
        request, entries = secrets.token_bytes(16), bundle.join(leaf for leaf, _ in rows)
        items = bundle.join(item for _, item in rows) if log.kind == "register" else b""
        done = await until_answered(lambda: client.append(log.origin, request, entries, items))
        assert done.count == len(rows)
        log.acknowledged += [(done.first + at, leaf) for at, (leaf, _) in enumerate(rows)]

    async def _disturb(self, until: float) -> None:
        victims = [*self.deployment.servers, "mint", "mint-db", "read-db"]
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0.1, 2.0))
            await self.deployment.kill(self.chance.choice(victims), self.chance.uniform(0, 1))

    async def _settle(self) -> None:
        """Waits until both databases have the same heads."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while await heads(self.deployment.mint_database) != await heads(self.deployment.read_database):  # noqa: ASYNC110  # databases
                await asyncio.sleep(0.2)

    async def _check(self, log: AppendedLog) -> int:
        """Checks the history of one log; returns its size."""
        databases = (self.deployment.mint_database, self.deployment.read_database)
        sizes = {await check_log(database, log.origin, log.verifiers) for database in databases}
        log.acknowledged.sort()
        assert sizes == {len(log.acknowledged)}, f"{log.origin}: {sizes}, {len(log.acknowledged)} were acknowledged"
        assert log.acknowledged == list(enumerate(await stored(self.deployment.read_database, log.origin)))
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


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Calls again and again until there is an answer; returns it."""
    while True:
        try:
            return await call()
        except (Busy, Conflict, NotAvailableYet, NotFound, Unavailable):
            await asyncio.sleep(0.05)


async def campaign(directory: Path, seconds: float, seed: int) -> dict[str, object]:
    """One run. Raises AssertionError where the history of a log is wrong."""
    deployment = Deployment(directory)
    try:
        await deployment.start()
        keeper = asyncio.create_task(deployment.restart_ended())
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
