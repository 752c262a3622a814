"""The whole path at a small size: appended, mirrored, audited, beside raw COPY of the rows that the mirror writes."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from benches.data import batches
from benches.mirror import catch_up
from benches.peers import Raw, rows_of
from benches.processes import cli
from benches.report import Report, interleave
from benches.rig import BATCH, Rig

if TYPE_CHECKING:
    from benches.report import Options, Usage

ABOUT = "append, mirror and audit --full of 100,000 entries of 200 bytes, beside raw COPY of the same rows"
ENTRIES = 100_000


async def run(options: Options) -> Report:
    size = options.entries or ENTRIES
    report = Report(f"{size:,} entries of 200 bytes")
    async with Rig() as rig:
        made, numbers = list(batches("opaque", size, BATCH)), count()

        async def append() -> float:
            return size / await rig.append(await rig.create(f"log-{next(numbers)}", "opaque"), iter(made), size)

        await append()
        await catch_up(rig, "log-0", size)
        raw = Raw(rig, await rows_of(rig.read))
        cases = {
            "append": append,
            "mirror": lambda: catch_up(rig, "log-0", size),
            "audit --full": lambda: audit(rig, "log-0"),
            "raw COPY": raw.run,
        }
        meters = rig.meters()
        seconds = await interleave(cases, options.rounds or 5)
        report.usage = [meter.read() for meter in meters]
    report.add({name: [size / value for value in values] for name, values in seconds.items()}, "entries/s")
    for name in ("append", "mirror", "audit --full"):
        report.compare(name, "raw COPY")
    return report


async def audit(rig: Rig, name: str, used: dict[str, Usage] | None = None) -> float:
    """`mintmark audit --full` by somebody who never saw the log; its seconds, with the command's start."""
    state = rig.dir / "audit.checkpoint"
    state.unlink(missing_ok=True)
    key = str(rig.dir / f"{name}.vkey")
    return await cli("audit", name, "--full", "--grpc", rig.address, "--vkey", key, "--state", str(state), used=used)
