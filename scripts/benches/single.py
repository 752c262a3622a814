"""One entry a call, many calls at once, beside calls of the same server that do nothing."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from benches.data import opaque
from benches.load import closed
from benches.report import Report, interleave
from benches.rig import Rig

if TYPE_CHECKING:
    from benches.report import Options

ABOUT = "append of one entry a call, 64 in flight, beside the same server's health check"
CALLS, FLIGHT = 10_000, 64


async def run(options: Options) -> Report:
    report = Report(f"{CALLS:,} calls, {FLIGHT} in flight")
    async with Rig() as rig, rig.empty_call() as check:
        origin, entry = await rig.create("single", "opaque"), opaque(0, 1)

        async def append() -> float:
            async def one() -> None:
                await rig.client.append(origin, secrets.token_bytes(16), entry)

            return (await closed([one] * FLIGHT, CALLS)).rate

        async def empty() -> float:
            return (await closed([check] * FLIGHT, CALLS)).rate

        meters = rig.meters()
        report.add(await interleave({"append": append, "empty call": empty}, options.rounds or 5), "calls/s")
        report.usage = [meter.read() for meter in meters]
    report.compare("append", "empty call", 0.8)
    return report
