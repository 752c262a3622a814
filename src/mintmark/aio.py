"""asyncio helpers that know no word of this domain.

prefetch           the next item is made while the last is used
Batcher            single questions become calls of many, without a timer
Backoff            seconds to wait after failures in a row
reload_on_change   a function called when something changed, and on SIGHUP
"""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

import tenacity

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

MAX_BATCH_KEYS = 256  # in one call of `fetch`


async def prefetch(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items, one made ahead. Ended early, it closes `items` first; close it with `aclosing`."""
    async with aclosing(items):
        coming = asyncio.create_task(_next(items))
        try:
            while item := await coming:
                coming = asyncio.create_task(_next(items))
                yield item[0]
        finally:
            await _ended(coming)


async def _ended(task: asyncio.Task[object]) -> None:
    """Cancels a task and waits until its cleanup is done; a cancellation that comes meanwhile is raised then."""
    task.cancel()
    told = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            told = True
    if not task.cancelled():
        task.exception()  # it was to end, and however it did is nobody's trouble
    if told:
        raise asyncio.CancelledError


async def _next(items: AsyncGenerator[T, None]) -> tuple[T] | None:
    """The next item, if there is one."""
    async for item in items:
        return (item,)
    return None


class Batcher(Generic[K, V]):
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
                asked, self._waiting = self._waiting[:MAX_BATCH_KEYS], self._waiting[MAX_BATCH_KEYS:]
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


class Backoff:
    """Seconds to wait after failures in a row: from about `first`, doubled with each up to `most`, with jitter.

    Each is half to all of tenacity's exponential wait: those that failed together do not come back together.
    """

    def __init__(self, first: float, most: float) -> None:
        self._wait = tenacity.wait_exponential(multiplier=first, max=most)
        self._calls = tenacity.RetryCallState(tenacity.AsyncRetrying(), None, (), {})
        self.reset()

    def reset(self) -> None:
        """Begins anew: after a success."""
        self._calls.attempt_number = 0

    def next(self) -> float:
        """The seconds to wait after one failure more."""
        self._calls.attempt_number += 1
        return float(self._wait(self._calls)) * random.uniform(0.5, 1)  # noqa: S311  # jitter


async def reload_on_change(stamp: Callable[[], object], reload: Callable[[], Awaitable[None]], every: float) -> None:
    """Calls `reload` when `stamp()` changes, and on SIGHUP, until cancelled. Looks every `every` seconds."""
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    last = stamp()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await hangup.wait()
        if hangup.is_set() or stamp() != last:
            hangup.clear()
            last = stamp()
            await reload()
