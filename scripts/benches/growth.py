"""Whether a log that is large is slower to append to, and to mirror, than one that is not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benches.data import batches
from benches.large import follow
from benches.report import Report, interleave
from benches.rig import BATCH, DOMAIN

if TYPE_CHECKING:
    from benches.report import Options
    from benches.rig import Rig

ABOUT = "entries/s of append and of a mirror, at 10^7 entries beside 10^5"
LEAST, MORE = 65_536, 200_000  # entries appended and mirrored in a round: several commits of a mirror
AIM = 0.9


async def run(options: Options) -> Report:
    large = options.large
    more = max(LEAST, min(MORE, large.sizes["middle"]))
    report = Report(f"entries/s over {more:,} more entries")
    rig = await large.mirrored()
    made = list(batches("opaque", more, BATCH))
    at = {name: f"{large.sizes[name]:,} entries" for name in ("middle", "large")}

    async def append(name: str) -> float:
        return await rig.append(f"{DOMAIN}/{name}", iter(made), more)

    async def mirror(name: str) -> float:
        await append(name)
        return await caught_up(rig, name)

    cases = {f"append, at {size}": partial(append, name) for name, size in at.items()}
    cases |= {f"mirror, at {size}": partial(mirror, name) for name, size in at.items()}
    report.add(await interleave(cases, options.rounds or 4), "entries/s")
    for what in ("append", "mirror"):
        report.compare(f"{what}, at {at['large']}", f"{what}, at {at['middle']}", AIM)
    return report


async def caught_up(rig: Rig, name: str) -> float:
    """A mirror that catches up with what was appended: entries a second, from its first commit to its last."""
    target = next(log.size for log in await rig.client.logs() if log.name == name)
    async with rig.mirror(name) as process:
        points = await follow(rig, name, target, process.pid)
    first, last = points[0], points[-1]
    return (last.size - first.size) / (last.at - first.at)
