"""The read API on one worker over registers of 10^4 and of 10^6 records: records, pages, proofs, a download.

Busy and steady as in `proofs`: requests one after another by 32 connections keep the worker as busy as can be, and what
one takes is then 32 over what the worker does a second; a file without a database behind it is shown beside.
"""

from __future__ import annotations

import random
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from benches.http import Connection
from benches.load import closed, paced
from benches.processes import Meter
from benches.proofs import tell
from benches.report import Report, Sample
from benches.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.load import Call, Load
    from benches.report import Options

ABOUT = "the read API: a record, a page of entries, proofs and CSV, at 10^4 and 10^6 records"
ENTRIES = 1_050_000  # as many entries make a million records
CLIENTS, CALLS = 32, 3_200
RATE = 400  # requests a second
GROWTH = 1.3


async def run(options: Options) -> Report:
    largest = options.entries or ENTRIES
    sizes = {"small": max(1_000, largest // 100), "large": largest}
    report = Report(f"one worker, {CLIENTS} connections; steady: {RATE} requests/s in all; large: {largest:,} entries")
    async with Rig() as rig:
        for name, size in sizes.items():
            await rig.fill(name, "register", size)
        async with rig.mirror(*sizes):
            await rig.shown(sum(sizes.values()))
        async with rig.command("serve") as server, AsyncExitStack() as stack:
            await rig.serving()
            http = [await stack.enter_async_context(Connection(rig.http)) for _ in range(CLIENTS)]
            meters = [*rig.meters(), Meter("API", server.pid)]
            await measure(report, http, sizes, options.rounds or 3)
            report.usage = [meter.read() for meter in meters]
    for how in ("steady", "busy"):
        report.limit(f"record, large, {how}, p50", 3, most=True)
        report.limit(f"record, large, {how}, p99", 15, most=True)
        for proof in ("inclusion", "consistency"):
            report.limit(f"{proof}, large, {how}, p99", 10, most=True)
    report.limit("page of 100, large, p50", 10, most=True)
    report.limit("CSV, large", 100_000)
    for what in ("record", "inclusion", "consistency"):
        report.compare(f"{what}, large, steady, p50", f"{what}, small, steady, p50", GROWTH, most=True)
        report.compare(f"{what}, large, busy, p50", f"{what}, small, busy, p50", GROWTH, most=True)
    report.compare("page of 100, large, p50", "page of 100, small, p50", GROWTH, most=True)
    return report


async def measure(report: Report, http: list[Connection], sizes: dict[str, int], rounds: int) -> None:
    """Everything once a round."""
    found: dict[str, list[Load]] = {}
    pages: dict[str, list[float]] = {name: [] for name in sizes}
    rows: dict[str, list[float]] = {name: [] for name in sizes}
    paths = {f"{what}, {name}": path for name, size in sizes.items() for what, path in questions(name, size).items()}
    paths["file"] = lambda: "/robots.txt"
    for number in range(rounds + 1):
        for what, path in paths.items():
            clients = [asker(one, path) for one in http]
            loads = {"busy": await closed(clients, CALLS), "steady": await paced(clients, CALLS // 4, RATE)}
            for how, load in loads.items() if number else ():
                found.setdefault(f"{what}, {how}", []).append(load)
        for name, size in sizes.items():
            taken = await closed([asker(http[0], page(name, size))], 200)
            speed = await downloaded(http[0], f"/{name}/download-records.csv")
            if number:
                pages[name].append(taken.p50)
                rows[name].append(speed)
    tell(report, found)
    report.samples += [Sample(f"page of 100, {name}, p50", "ms", values) for name, values in pages.items()]
    report.samples += [Sample(f"CSV, {name}", "rows/s", values) for name, values in rows.items()]


def questions(name: str, size: int) -> dict[str, Callable[[], str]]:
    """Paths, another one each time."""
    chance = random.Random(size)

    def record() -> str:
        number = chance.randrange(size - 10) // 10 * 10 + chance.randrange(1, 10)
        return f"/{name}/records/C{number:08d}.json"

    users = size * 9 // 10
    return {
        "record": record,
        "inclusion": lambda: f"/{name}/log/entries/{chance.randrange(size)}.proof",
        "consistency": lambda: f"/{name}/proof/consistency/{chance.randrange(1, users)}/{users}/merkle:sha-256.json",
    }


def page(name: str, size: int) -> Callable[[], str]:
    chance = random.Random(size)
    return lambda: f"/{name}/entries.json?start={chance.randrange(1, size * 8 // 10)}&limit=100"


def asker(http: Connection, path: Callable[[], str]) -> Call:
    """A connection that asks for another path each time."""
    return lambda: http.get(path())


async def downloaded(http: Connection, path: str) -> float:
    """Rows a second of a download."""
    began, rows = time.perf_counter(), 0
    async for part in http.stream(path):
        rows += part.count(b"\n")
    return rows / (time.perf_counter() - began)
