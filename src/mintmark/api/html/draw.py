"""Two small pictures, drawn here so that pages need no script: how a register grew, and what its root looks like.

sparkline   records over time, as steps, and below them a tick where there were entries
coin        its rim is the root: 32 spokes, each as long as one byte of it. Two roots that differ look different
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.api.models import Growth

WIDTH, HEIGHT, TOP = 600, 80, 4  # of a sparkline's drawing, and the space above its line
INNER, OUTER, CENTRE = 33.0, 47.0, 50.0  # of a coin's spokes
_SHORTEST = 3.0


def sparkline(growth: Sequence[Growth]) -> str:
    """The points of a step line through the records that stood, oldest first, left to right by time; "" for none."""
    if not growth:
        return ""
    times = [datetime.fromisoformat(point.timestamp).timestamp() for point in growth]
    most = max(point.records for point in growth) or 1
    since, lasts = times[0], (times[-1] - times[0]) or 1.0
    x = [WIDTH * (time - since) / lasts for time in times]
    y = [HEIGHT - (HEIGHT - TOP) * point.records / most for point in growth]
    steps = [(x[0], y[0])]
    for i in range(1, len(growth)):
        steps += [(x[i], y[i - 1]), (x[i], y[i])]
    steps.append((WIDTH, y[-1]))
    return " ".join(f"{left:.1f},{down:.1f}" for left, down in steps)


def ticks(growth: Sequence[Growth]) -> str:
    """A path with a tick below the line at each point."""
    return "".join(f"M{position(growth, point.index):.1f} {HEIGHT + 4}v6" for point in growth)


def position(growth: Sequence[Growth], index: int) -> float:
    """Where on a sparkline, 0 to WIDTH, the register was with entry `index`."""
    past = [point for point in growth if point.index <= index] or growth[:1]
    first, here, last = (
        datetime.fromisoformat(point.timestamp).timestamp() for point in (growth[0], past[-1], growth[-1])
    )
    return WIDTH * (here - first) / ((last - first) or 1.0)


def coin(root: bytes) -> list[tuple[str, str, str, str]]:
    """The spokes (x1, y1, x2, y2) of a root, in a drawing 100 by 100, clockwise from the top."""
    spokes = []
    for i, byte in enumerate(root):
        angle = 2 * math.pi * i / len(root)
        end = INNER + _SHORTEST + (OUTER - INNER - _SHORTEST) * byte / 255
        spokes.append((*_at(angle, INNER), *_at(angle, end)))
    return spokes


def _at(angle: float, radius: float) -> tuple[str, str]:
    return f"{CENTRE + radius * math.sin(angle):.2f}", f"{CENTRE - radius * math.cos(angle):.2f}"
