"""Reading and checking a whole opaque log, beside what the source gives and what the hashes take."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from benches.data import opaque
from benches.report import Report, interleave
from benches.rig import DOMAIN, Rig
from benches.spine import audit
from mintmark.tlog import bundle, kernel
from mintmark.tlog.kernel import WIDTH

if TYPE_CHECKING:
    from benches.report import Options

ABOUT = "audit --full of an opaque log, beside the source's speed and that of the hashes"
ENTRIES = 2_000_000


async def run(options: Options) -> Report:
    size = options.entries or ENTRIES
    report = Report(f"{size:,} entries; commands with their start")
    async with Rig() as rig:
        await rig.fill("audit", "opaque", size, batch=4_000)
        cases = {
            "audit --full": lambda: audit(rig, "audit"),
            "source alone": lambda: received(rig, size),
            "hashes alone": lambda: hashed(size),
        }
        meters = rig.meters()
        seconds = await interleave(cases, options.rounds or 3)
        report.usage = [meter.read() for meter in meters]
    report.add({name: [size / value for value in values] for name, values in seconds.items()}, "entries/s")
    report.add({"the slower of both": list(map(min, report.values("source alone"), report.values("hashes alone")))}, "")
    report.limit("hashes alone", 1_000_000)
    report.compare("audit --full", "the slower of both", 0.8)
    return report


async def received(rig: Rig, size: int) -> float:
    """The seconds of a download that checks nothing."""
    began = time.perf_counter()
    async with aclosing(rig.client.entries(f"{DOMAIN}/audit", 0, size, size)) as chunks:
        async for chunk in chunks:
            del chunk
    return time.perf_counter() - began


async def hashed(size: int) -> float:
    """The seconds of all leaf hashes and of the tree above them, a bundle at a time."""
    count = min(size, 200 * WIDTH)
    entries = bundle.cut(opaque(0, count), count)
    bundles = [bundle.join(entries[at : at + WIDTH]) for at in range(0, count, WIDTH)]
    began = time.perf_counter()
    for _ in range(size // count):
        kernel.fold(b"".join([kernel.fold(kernel.leaf_hashes(part)) for part in bundles]))
    return (time.perf_counter() - began) * size / (size // count * count)
