"""Group reads, as the mint groups commits: whatever is asked for while one query runs goes into the next. No timers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

K = TypeVar("K")
V = TypeVar("V")

MOST = 256  # keys in one query


class Grouped(Generic[K, V]):
    """Turns single questions into queries of many. `fetch` answers by place; what it leaves out is None."""

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[dict[int, V]]]) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The answer to one question; raises what the query that it went into raised."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._ask(asked)
        finally:
            self._task = None

    async def _ask(self, asked: list[tuple[K, asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._fetch([key for key, _ in asked])
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the askers' to handle
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for at, (_, answer) in enumerate(asked):
            if not answer.done():  # its request was cancelled
                answer.set_result(found.get(at))
