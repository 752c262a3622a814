"""A mirror that catches up, beside who writes the same rows without verifying them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.peers import Raw, Replication, rows_of
from benches.processes import Meter
from benches.report import Options, Report, interleave
from benches.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benches.report import Usage

ABOUT = "a mirror's catch-up, opaque and register, beside raw COPY and logical replication of the same rows"
ENTRIES, REGISTER_ENTRIES = 1_000_000, 200_000
PYTHON = {"MINTMARK_KERNEL": "python"}


async def run(options: Options) -> Report:
    """Both kinds of log, in a deployment of their own each."""
    report = Report("entries/s of a mirror's catch-up")
    await measure(report, "opaque", options.entries or ENTRIES, options.rounds or 3)
    await measure(report, "register", options.entries or REGISTER_ENTRIES, options.rounds or 3)
    report.compare("mirror, opaque", "raw COPY, opaque", 1.0)
    report.compare("mirror, opaque", "logical replication, opaque", 1.8)
    report.compare("mirror in Python, opaque", "raw COPY, opaque", 0.55)
    report.compare("mirror, register", "raw COPY, register", 0.85)
    return report


async def measure(report: Report, kind: str, count: int, rounds: int) -> None:
    """One kind."""
    async with Rig(replication=kind == "opaque") as rig:
        await rig.fill(kind, kind, count)
        await catch_up(rig, kind, count)
        rows = await rows_of(rig.read)
        raw = Raw(rig, rows)
        used: list[Usage] = []
        cases: dict[str, Callable[[], Awaitable[float]]] = {
            f"mirror, {kind}": lambda: catch_up(rig, kind, count, used=used),
            f"raw COPY, {kind}": raw.run,
        }
        if kind == "opaque":
            replication = Replication(rig, rows)
            await replication.prepare()
            cases[f"mirror in Python, {kind}"] = lambda: catch_up(rig, kind, count, PYTHON)
            cases[f"logical replication, {kind}"] = replication.run
        seconds = await interleave(cases, rounds)
        report.add({name: [count / value for value in values] for name, values in seconds.items()}, "entries/s")
        report.usage += used


async def catch_up(
    rig: Rig, kind: str, count: int, environment: dict[str, str] | None = None, used: list[Usage] | None = None
) -> float:
    """A mirror into an empty database; its seconds. `used` gets what the processes took."""
    await rig.forget()
    meters = rig.meters()
    async with rig.mirror(kind, environment=environment) as process:
        meters.append(Meter(f"mirror, {kind}", process.pid))
        seconds = await rig.mirrored(count)
        if used is not None:
            used[:] = [meter.read() for meter in meters]
    return seconds
