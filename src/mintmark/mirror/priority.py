"""Long work lets short work go first: a catch-up waits before each batch while other logs step, but not for long."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 0.1  # seconds that a batch waits


class ForegroundGate:
    """The times when no short step is under way in a worker."""

    def __init__(self) -> None:
        self._steps = 0
        self._now = asyncio.Event()
        self._now.set()

    @contextmanager
    def broken(self) -> Iterator[None]:
        """A short step, for the time of the block."""
        self._steps += 1
        self._now.clear()
        try:
            yield
        finally:
            self._steps -= 1
            if self._steps == 0:
                self._now.set()

    async def wait(self) -> bool:
        """Waits for one; whether it came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MOST):
                await self._now.wait()
        return self._now.is_set()
