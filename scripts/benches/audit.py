"""Reading and checking a whole opaque log, beside what the source gives and what the hashes take."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import psycopg

from benches.data import opaque
from benches.processes import cli
from benches.report import Report, interleave
from benches.rig import DOMAIN, Rig
from benches.spine import audit
from mintmark.tlog import bundle, kernel
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from benches.report import Options, Usage

ABOUT = "audit --full, fsck and rebuild of an opaque log, beside the speed of their source and of the hashes"
ENTRIES = 4_000_000
COMMANDS = {  # what it does, and what it reads from
    "audit --full": "mint alone",
    "fsck, mint": "mint's bundles alone",
    "fsck, read": "read bundles alone",
    "rebuild": "read bundles alone",
}


async def run(options: Options) -> Report:
    size = options.entries or ENTRIES
    report = Report(f"{size:,} entries; commands with their start")
    async with Rig() as rig:
        await rig.fill("audit", "opaque", size, batch=4_000)
        async with rig.mirror("audit"):
            await rig.mirrored(size)
        used: dict[str, Usage] = {}
        cases = {
            "audit --full": lambda: audit(rig, "audit", used),
            "fsck, mint": lambda: checked(rig, "mint", used),
            "fsck, read": lambda: checked(rig, "read", used),
            "rebuild": lambda: cli("rebuild", "audit", "--config", str(rig.config), used=used),
            "mint alone": lambda: received(rig, size),
            "mint's bundles alone": lambda: dumped(rig.source.conninfo("mint")),
            "read bundles alone": lambda: dumped(rig.read),
            "hashes alone": lambda: hashed(size),
        }
        meters = rig.meters()
        seconds = await interleave(cases, options.rounds or 3)
        report.usage = [*(meter.read() for meter in meters), *used.values()]
    report.add({name: [size / value for value in values] for name, values in seconds.items()}, "entries/s")
    report.limit("hashes alone", 1_000_000)
    for source in dict.fromkeys(COMMANDS.values()):
        slower = [*map(min, report.values(source), report.values("hashes alone"))]
        report.add({f"slower of {source} and hashes": slower}, "entries/s")
    for command, source in COMMANDS.items():
        report.compare(command, f"slower of {source} and hashes", 0.8)
    return report


async def checked(rig: Rig, database: str, used: dict[str, Usage]) -> float:
    """`mintmark fsck` from the beginning; its seconds."""
    options = ("--database", database, "--since", "0", "--config", str(rig.config))
    return await cli("fsck", "audit", *options, used=used)


async def dumped(database: str) -> float:
    """The seconds of reading every bundle of a database."""
    began = time.perf_counter()
    async with (
        await psycopg.AsyncConnection.connect(database) as conn,
        conn.cursor().copy("copy bundle to stdout (format binary)") as copy,
    ):
        async for part in copy:
            del part
    return time.perf_counter() - began


async def received(rig: Rig, size: int) -> float:
    """The seconds of a download that checks nothing."""
    began = time.perf_counter()
    async with aclosing(rig.client.entries(f"{DOMAIN}/audit", 0, size, size)) as chunks:
        async for chunk in chunks:
            del chunk
    return time.perf_counter() - began


async def hashed(size: int) -> float:
    """The seconds of all leaf hashes and of the tree above them, a bundle at a time."""
    count = min(size, 200 * TILE_WIDTH)
    entries = bundle.cut(opaque(0, count), count)
    bundles = [bundle.join(entries[at : at + TILE_WIDTH]) for at in range(0, count, TILE_WIDTH)]
    began = time.perf_counter()
    for _ in range(size // count):
        kernel.fold(b"".join([kernel.fold(kernel.leaf_hashes(part)) for part in bundles]))
    return (time.perf_counter() - began) * size / (size // count * count)
