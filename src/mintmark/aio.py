"""asyncio helpers that know no word of this domain.

prefetch           makes the next item while the last is used
Batcher            turns single questions into calls of many, without a timer
ByteBudget         bytes that may be held at one time, with the slowest holder ended where others wait
Backoff            seconds to wait after failures in a row
supervise          runs a task again that failed, and tells why
offload            runs long work in a thread
reload_on_change   calls a function when something has changed, and on SIGHUP
"""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from mintmark.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

K = TypeVar("K")
P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")

MAX_INLINE_BYTES = 65_536  # that are worked on without leaving the event loop
MAX_BATCH_KEYS = 256  # in one call of a Batcher's `fetch`
MAX_WAIT_SECONDS = 10.0  # for room in a ByteBudget
LOOK_SECONDS = 0.1  # between looks for a slow holder, while somebody waits
FIRST_RESTART_SECONDS, MAX_RESTART_SECONDS = 0.2, 4.0  # of a task that failed
STEADY_SECONDS = 10.0  # of a task's life, after which the back-off begins anew


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
        except asyncio.CancelledError:  # no caller is left to wait for an answer that does not come
            for _, answer in batch:
                answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the callers handle it
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for at, (_, answer) in enumerate(batch):
            if not answer.done():  # its request was cancelled
                answer.set_result(found.get(at))


@dataclass(slots=True, eq=False)
class HeldBytes:
    """Bytes that somebody holds. `end` makes him give them up; None: he cannot be ended (again)."""

    count: int
    since: float
    end: Callable[[], object] | None

    def touch(self) -> None:
        """Tells that there was progress."""
        self.since = monotonic()


class ByteBudget:
    """Bytes that a process holds for others: for receivers that are slow, for senders that have not finished.

    Who finds no room waits for it, the newest first: a flood of those who wait keeps nobody else out. Meanwhile the
    holder who made no progress for longest is ended, if that is longer than `slow_seconds`: so slowness costs nobody
    anything but the slow, and these only where others wait.
    """

    def __init__(self, limit: int, slow_seconds: float, wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self.held = 0
        self._limit, self._slow_seconds, self._wait_seconds = limit, slow_seconds, wait_seconds
        self._holders: set[HeldBytes] = set()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def hold(self, count: int, end: Callable[[], object] | None = None) -> AsyncIterator[HeldBytes]:
        """Holds bytes for the time of the block; more than there are count as all. Raises Busy where none get free."""
        count = min(count, self._limit)
        if self.held + count > self._limit:
            await self._wait(count)
        else:
            self.held += count
        holder = HeldBytes(count, monotonic(), end)
        self._holders.add(holder)
        try:
            yield holder
        finally:
            self._holders.discard(holder)
            self._release(holder.count)

    def resize(self, holder: HeldBytes, count: int) -> None:
        """Changes what somebody holds to what it turned out to be; that may be more than there was room for."""
        released, holder.count = holder.count - count, count
        holder.touch()
        self._release(released)

    async def _wait(self, count: int) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, granted))
        until = monotonic() + self._wait_seconds
        try:
            while not granted.done() and monotonic() < until:
                self._end_slowest()
                await asyncio.wait([granted], timeout=LOOK_SECONDS)
            if not granted.done():
                raise Busy("too much is being read here at once; try again")
        except BaseException:
            if granted.done():
                self._release(count)
            else:
                self._waiting.remove((count, granted))
                self._release(0)
            raise

    def _release(self, count: int) -> None:
        self.held -= count
        while self._waiting and self.held + self._waiting[-1][0] <= self._limit:
            wanted, granted = self._waiting.pop()
            self.held += wanted
            granted.set_result(None)

    def _end_slowest(self) -> None:
        slow = [holder for holder in self._holders if holder.end is not None]
        holder = min(slow, key=lambda each: each.since, default=None)
        if holder is not None and holder.end is not None and holder.since < monotonic() - self._slow_seconds:
            end, holder.end = holder.end, None
            end()


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


async def supervise(work: Callable[[], Awaitable[None]], tell: Callable[[BaseException], None]) -> None:
    """Runs `work()` to its end. Each time that it fails, tells of it, waits, and runs it again; until cancelled.

    A background task has nobody who waits for it: without this, it would die in silence, or end the whole process.
    """
    backoff = Backoff(FIRST_RESTART_SECONDS, MAX_RESTART_SECONDS)
    task = asyncio.current_task()
    while True:
        began = monotonic()
        try:
            return await work()
        except asyncio.CancelledError as error:  # ours, or that of something that it waited for
            if task is None or task.cancelling():
                raise
            tell(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            tell(error)
        if monotonic() - began > STEADY_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next())


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


async def offload(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs work on `size` bytes, which changes nothing but what it returns: in a thread where it is long."""
    if size <= MAX_INLINE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
