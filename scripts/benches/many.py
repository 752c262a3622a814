"""A thousand registers in one worker: what it costs when nothing moves, and how soon an append is seen when much does.

idle       nothing moves: CPU of the worker, in percent of a core, and the most memory it held
busy       50 logs are appended to twice a second; every append to those and to any other is timed until it is visible
catch-up   the same, while one log of millions of entries is mirrored from nothing
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
import time
from typing import TYPE_CHECKING

import psycopg

from benches.data import opaque
from benches.load import quantile
from benches.processes import cpu, peak
from benches.report import Report, Sample
from benches.rig import TOKEN, Rig
from benches.seen import Seen
from mintmark.client.mint_client import MintClient

if TYPE_CHECKING:
    from benches.report import Options

ABOUT = "a thousand registers in one worker: idle cost, and append to visible while some are busy"
LOGS, BUSY, LARGE = 1000, 50, 2_000_000
IDLE, TIMED = 20.0, 20.0  # seconds
PAUSE = 0.5  # seconds between appends to a busy log
RUN = [f"run-{number}" for number in range(LOGS)]


class Load:
    """Appends to some logs all the time, and to any log now and then."""

    def __init__(self, rig: Rig, origins: list[str], ids: dict[str, int], seen: Seen) -> None:
        self._rig, self._origins, self._ids, self._seen = rig, origins, ids, seen
        self._chance = random.Random(3)

    async def run(self) -> None:
        """For `TIMED` seconds."""
        end = time.perf_counter() + TIMED
        async with MintClient(self._rig.address, token=TOKEN) as client, asyncio.TaskGroup() as tasks:
            for origin in self._origins[:BUSY]:
                tasks.create_task(self._repeat(client, end, lambda origin=origin: origin, PAUSE))
            tasks.create_task(self._repeat(client, end, lambda: self._chance.choice(self._origins), PAUSE / 5))

    async def _repeat(self, client: MintClient, end: float, choose, pause: float) -> None:  # type: ignore[no-untyped-def]
        await asyncio.sleep(self._chance.uniform(0, pause))
        while time.perf_counter() < end:
            origin, count = choose(), self._chance.randint(1, 10)
            began = time.perf_counter()
            done = await client.append(origin, secrets.token_bytes(16), opaque(self._chance.getrandbits(30), count))
            self._seen.expect(self._ids[origin], done.first + done.count, began)
            await asyncio.sleep(self._chance.uniform(0.8, 1.2) * pause)


async def run(options: Options) -> Report:
    report = Report(f"{LOGS:,} registers, one worker; {BUSY} of them busy")
    async with Rig() as rig:
        origins = [await rig.create(name, "opaque") for name in RUN]
        large = options.entries or LARGE
        await rig.fill("large", "opaque", large)
        async with rig.mirror(*RUN) as mirror:
            ids = await followed(rig, LOGS)
            await asyncio.sleep(5)
            report.samples.append(Sample("idle CPU", "% of a core", [await idle(mirror.pid)]))
            report.samples.append(Sample("append to visible, busy, p99", "ms", [await timed(rig, origins, ids)]))
            report.samples.append(Sample("memory", "MB", [peak(mirror.pid)]))
            shutil.copy(rig.dir / "large.vkey", rig.place.trust / "large.vkey")
            await followed(rig, LOGS + 1)
            began = time.perf_counter()
            catching = asyncio.create_task(reached(rig, "large", large))
            worst = await timed(rig, origins, ids)
            report.samples.append(Sample("append to visible, beside a catch-up, p99", "ms", [worst]))
            await catching
            report.samples.append(Sample("the catch-up", "entries/s", [large / (time.perf_counter() - began)]))
    report.limit("idle CPU", 2, most=True)
    report.limit("memory", 300, most=True)
    report.limit("append to visible, busy, p99", 500, most=True)
    report.limit("append to visible, beside a catch-up, p99", 500, most=True)
    return report


async def followed(rig: Rig, count: int) -> dict[str, int]:
    """Waits until so many logs are followed; origin -> id in the read database."""
    async with await psycopg.AsyncConnection.connect(rig.read, autocommit=True) as conn:
        while True:
            found: dict[str, int] = dict(await (await conn.execute("select origin, id from log")).fetchall())
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


async def reached(rig: Rig, name: str, size: int) -> None:
    """Waits until the head of a log has this size."""
    query = "select h.size from log l join head h on h.log = l.id where l.name = %s"
    async with await psycopg.AsyncConnection.connect(rig.read, autocommit=True) as conn:
        while (row := await (await conn.execute(query, (name,))).fetchone()) is None or row[0] < size:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def idle(pid: int) -> float:
    """Percent of a core that a process takes while nothing moves."""
    before = cpu(pid)
    await asyncio.sleep(IDLE)
    return (cpu(pid) - before) / IDLE * 100


async def timed(rig: Rig, origins: list[str], ids: dict[str, int]) -> float:
    """The 99th percentile of append to visible, in milliseconds; an append that was not seen counts as the longest."""
    seen = Seen()
    listening = asyncio.create_task(seen.listen(rig.read))
    await asyncio.sleep(0.5)
    try:
        await Load(rig, origins, ids, seen).run()
        await asyncio.sleep(3)
    finally:
        listening.cancel()
    return quantile(seen.all(), 0.99)
