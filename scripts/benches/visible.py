"""From sending an append to its entries being verified and visible in the read database, at a steady rate."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

from benches.data import opaque
from benches.load import paced, quantile
from benches.processes import Meter
from benches.report import Report, Sample
from benches.rig import Rig, log_id
from benches.seen import Seen

if TYPE_CHECKING:
    from benches.report import Options

ABOUT = "append to verified and visible in the read database, at 1,000 entries/s"
RATE, SECONDS = 1_000, 10  # entries a second
SHAPES = {"one entry a call": 1, "ten entries a call": 10}
CLIENTS = 64


async def run(options: Options) -> Report:
    report = Report(f"{RATE:,} entries/s for {SECONDS} s, from sending the append to NOTIFY of a head that covers it")
    rounds = options.rounds or 3
    async with Rig() as rig:
        origin = await rig.create("visible", "opaque")
        async with rig.mirror("visible") as mirror:
            log = await log_id(rig.read, "visible")
            meters = [*rig.meters(), Meter("mirror", mirror.pid)]
            found: dict[str, list[list[float]]] = {shape: [] for shape in SHAPES}
            for number in range(rounds + 1):
                for shape, count in SHAPES.items():
                    taken = await once(rig, origin, log, count)
                    if number:
                        found[shape].append(taken)
            report.usage = [meter.read() for meter in meters]
    for shape, rounds_taken in found.items():
        for share, aim in ((0.5, 30), (0.99, 150)):
            what = f"{shape}, p{share * 100:.0f}"
            report.samples.append(Sample(what, "ms", [quantile(taken, share) for taken in rounds_taken]))
            report.limit(what, aim, most=True)
    return report


async def once(rig: Rig, origin: str, log: int, count: int) -> list[float]:
    """The milliseconds of each append."""
    seen = Seen()
    listening = asyncio.create_task(seen.listen(rig.read))
    await asyncio.sleep(0.2)

    async def append() -> None:
        began = time.perf_counter()
        done = await rig.client.append(origin, secrets.token_bytes(16), opaque(0, count))
        seen.expect(log, done.first + done.count, began)

    await paced([append] * CLIENTS, RATE * SECONDS // count, RATE / count)
    await asyncio.sleep(1)
    listening.cancel()
    return seen.all()
