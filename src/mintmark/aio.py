"""asyncio helpers that know no word of this domain.

prefetch           makes the next item while the last is used
Batcher            turns single questions into calls of many, without a timer
Backoff            seconds to wait after failures in a row
reload_on_change   calls a function when something has changed, and on SIGHUP
"""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

MAX_BATCH_KEYS = 256  # in one call of a Batcher's `fetch`


async def prefetch(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items, one made ahead. Ended early, it closes `items` first; close it with `aclosing`."""
    async with aclosing(items):
        coming = asyncio.create_task(_next(items))
        try:
            while item := await coming:
                coming = asyncio.create_task(_next(items))
                yield item[0]
        finally:
            await _cancel(coming)


async def _cancel(task: asyncio.Task[object]) -> None:
    """Cancels a task and waits until its cleanup is done; a cancellation that comes meanwhile is raised then."""
    task.cancel()
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not report it: nobody needs the item
    if cancelled:
        raise asyncio.CancelledError


async def _next(items: AsyncGenerator[T, None]) -> tuple[T] | None:
    """The next item, if there is one."""
    async for item in items:
        return (item,)
    return None


class Batcher(Generic[K, V]):
    """Turns single questions into calls of `fetch`, which answers by place. A place that it leaves out is None."""

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[dict[int, V]]]) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The answer to one question. Raises as the call of `fetch` did that it was part of."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH_KEYS], self._waiting[MAX_BATCH_KEYS:]
                await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: list[tuple[K, asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._fetch([key for key, _ in batch])
        except Exception as error:  # noqa: BLE001  # whatever it is, the callers handle it
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for at, (_, answer) in enumerate(batch):
            if not answer.done():  # its request was cancelled
                answer.set_result(found.get(at))


class Backoff:
    """Seconds to wait after failures in a row: about `first`, doubled with each failure up to `maximum`.

    Each is half to all of tenacity's exponential wait: clients that failed together do not come back together.
    """

    def __init__(self, first: float, maximum: float) -> None:
        import tenacity  # here, because every command imports this module, and most never wait

        self._wait = tenacity.wait_exponential(multiplier=first, max=maximum)
        self._calls = tenacity.RetryCallState(tenacity.AsyncRetrying(), None, (), {})
        self.reset()

    def reset(self) -> None:
        """Begins anew, after a success."""
        self._calls.attempt_number = 0

    def next(self) -> float:
        """The seconds to wait after one more failure."""
        self._calls.attempt_number += 1
        return float(self._wait(self._calls)) * random.uniform(0.5, 1)  # noqa: S311  # jitter


async def reload_on_change(
    stamp: Callable[[], object], reload: Callable[[], Awaitable[bool]], interval: float, since: object = None
) -> None:
    """Calls `reload` when `stamp()` changes, and on SIGHUP, until cancelled. Looks every `interval` seconds.

    `since` is the stamp of what was loaded before; None: that of now. Where `reload` gives False, it is called again.
    """
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    last = stamp() if since is None else since
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await hangup.wait()
        if hangup.is_set() or stamp() != last:
            hangup.clear()
            now = stamp()
            if await reload():
                last = now
