"""What a mirror holds while it catches up with a large log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.report import Report, Sample

if TYPE_CHECKING:
    from benches.report import Options

ABOUT = "resident memory of a mirror along a catch-up of 10^7 entries"
AIM = 250  # MB
FLAT = 1.2


async def run(options: Options) -> Report:
    largest = options.large.sizes["large"]
    report = Report(f"resident memory of a mirror that catches up with {largest:,} entries")
    await options.large.mirrored()
    points, names = options.large.points, []
    for size in (largest // 100, largest // 10, largest):
        names.append(f"up to {size:,} entries")
        held = [point.memory for point in points if point.size <= size] or [points[0].memory]
        report.samples.append(Sample(names[-1], "MB", [max(held)]))
    report.usage = options.large.usage
    report.samples.append(Sample("most ever", "MB", [used.peak for used in report.usage if used.process == "mirror"]))
    report.limit("most ever", AIM, most=True)
    report.compare(names[-1], names[0], FLAT, most=True)
    return report
