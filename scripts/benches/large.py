"""A deployment that several subjects share, with a small, a middling and a large opaque log: filled and mirrored once.

While the mirror catches up with the large one, its memory and speed are noted along the way.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from benches.processes import Meter, resident
from benches.rig import Rig

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from benches.report import Usage

ENTRIES = 10_000_000
BATCH = 4_000  # entries in an append, where only the result counts
LOOK = 0.025  # seconds between looks, each of which costs the database something
SIZE = "select p.size from log l join progress p on p.log = l.id where l.name = %s"


class Point(NamedTuple):
    """Where a mirror was at some time."""

    size: int
    at: float
    memory: float  # resident, MB


class Large:
    """`async with Large(entries) as large`; nothing is made before it is asked for."""

    def __init__(self, entries: int | None) -> None:
        largest = entries or ENTRIES
        self.sizes = {"small": largest // 1000, "middle": largest // 100, "large": largest}
        self.points: list[Point] = []
        self.usage: list[Usage] = []
        self._rig: Rig | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def rig(self) -> Rig:
        """The deployment, filled."""
        if self._rig is None:
            rig = await self._stack.enter_async_context(Rig())
            for name, size in self.sizes.items():
                await rig.fill(name, "opaque", size, batch=BATCH)
            self._rig = rig
        return self._rig

    async def mirrored(self) -> Rig:
        """The same, mirrored."""
        rig = await self.rig()
        if not self.points:
            async with rig.mirror("small", "middle") as process:
                for name in ("small", "middle"):
                    await follow(rig, name, self.sizes[name], process.pid)
            meters = rig.meters()
            async with rig.mirror("large") as process:
                meters.append(Meter("mirror", process.pid))
                self.points = await follow(rig, "large", self.sizes["large"], process.pid)
                self.usage = [meter.read() for meter in meters]
        return rig


async def follow(rig: Rig, name: str, size: int, pid: int) -> list[Point]:
    """Watches a mirror until a log has this size; a point for each move that was seen, the first one included."""
    points: list[Point] = []
    async with await psycopg.AsyncConnection.connect(rig.read, autocommit=True) as conn:
        last = await _size(conn, name)
        while last < size:
            if (now := await _size(conn, name)) > last:
                points.append(Point(now, time.perf_counter(), resident(pid)))
                last = now
            await asyncio.sleep(LOOK)
    return points


async def _size(conn: psycopg.AsyncConnection[tuple[int]], name: str) -> int:
    row = await (await conn.execute(SIZE, (name,))).fetchone()
    return row[0] if row else 0
