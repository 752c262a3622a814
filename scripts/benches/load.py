"""Many clients at once, and how long each call took.

closed   the next call goes out when the last was answered, so the server is as busy as can be
paced    so many calls a second, evenly spread, as a server that has room sees them
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Call = Callable[[], Awaitable[object]]


@dataclass
class Load:
    """The milliseconds of each call, and the seconds of all."""

    milliseconds: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def p50(self) -> float:
        return quantile(self.milliseconds, 0.5)

    @property
    def p99(self) -> float:
        return quantile(self.milliseconds, 0.99)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is no less than this share of all."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


async def closed(clients: Sequence[Call], count: int) -> Load:
    """So many calls in all, each client's next one as soon as its last is answered."""
    taken: list[float] = []
    left = iter(range(count))

    async def work(call: Call) -> None:
        for _ in left:
            began = time.perf_counter()
            await call()
            taken.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*map(work, clients))
    return Load(taken, time.perf_counter() - began)


async def paced(clients: Sequence[Call], count: int, rate: float) -> Load:
    """So many calls in all, so many a second, each client in its turn. One that was answered late goes on at once."""
    taken: list[float] = []
    began = time.perf_counter()

    async def work(number: int, call: Call) -> None:
        for turn in range(number, count, len(clients)):
            await asyncio.sleep(max(0.0, began + turn / rate - time.perf_counter()))
            sent = time.perf_counter()
            await call()
            taken.append((time.perf_counter() - sent) * 1000)

    await asyncio.gather(*(work(number, call) for number, call in enumerate(clients)))
    return Load(taken, time.perf_counter() - began)
