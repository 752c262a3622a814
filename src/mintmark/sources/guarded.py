"""A source as one worker knows it: how long it is waited for, which errors it raises, and lanes of its own.

A source may hang, answer with any status, or send bytes that are no message. None of this says anything about the log,
so all of it becomes Unavailable (or NotFound, NotAvailableYet, Busy where it says so): the next source is asked. One
that did so comes last for a while, so that the next logs do not wait for it too.

A slow link is no failure. Over HTTP a wait begins anew with all bytes that come. Over gRPC a message is all that is
seen, so a slow source is asked for smaller ranges (`pace`). One that was late comes after those that are not slow.

The lanes bound how much one source can have a worker do at once, and so a slow source holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from mintmark.errors import Busy, MintmarkError, NotAvailableYet, NotFound, Unavailable
from mintmark.sources.pace import Pace
from mintmark.sources.source import FileSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

    from mintmark.sources.source import Announcement, Confirmation, ListedLog, Source
    from mintmark.tlog.trust import Chunk

T = TypeVar("T")

ANSWER_SECONDS = 5.0  # for one answer, or one chunk of many
FIRST_HEAD_SECONDS = 15.0  # for the first head of a stream: one that brings nothing may be stuck in a proxy
AVOID_SECONDS = 30.0  # after a failure, in which a source comes last
SHORT_LANES, LONG_LANES = 32, 2  # steps at once


class GuardedSource:
    """One source. It is a source itself, with better manners."""

    def __init__(self, source: Source, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.address, self.source = source.address, source
        self.short_lanes, self.long_lanes = asyncio.Semaphore(SHORT_LANES), asyncio.Semaphore(LONG_LANES)
        self.stream_error: str | None = "not reached yet"  # None: its stream is open
        self._answer_seconds, self._pace = answer_seconds, Pace(answer_seconds)
        self._waits: dict[asyncio.Timeout, float] = {}  # by each, the time that it never passes
        self._avoided_until = 0.0
        if isinstance(source, FileSource):
            source.on_bytes(self._extend_waits)

    @property
    def avoided(self) -> bool:
        """True if it failed lately."""
        return monotonic() < self._avoided_until

    @property
    def slow(self) -> bool:
        """True if it was late, and has not been fast since."""
        return self._pace.slow

    @property
    def cached(self) -> bool:
        """True if caches may stand before it."""
        return isinstance(self.source, FileSource)

    @contextmanager
    def past_caches(self) -> Iterator[None]:
        """Asks past the caches, for the time of the block."""
        if not isinstance(self.source, FileSource):
            yield
            return
        self.source.past_caches = True
        try:
            yield
        finally:
            self.source.past_caches = False

    async def logs(self) -> Sequence[ListedLog]:
        """The logs that it names."""
        return await self._answer(self.source.logs())

    async def checkpoint(self, origin: str) -> bytes:
        """The present note."""
        return await self._answer(self.source.checkpoint(origin))

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""
        return await self._answer(self.source.consistency(origin, old_size, size))

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement | Confirmation]:
        """Present notes, then each new one, and confirmations of them."""
        with self._errors():
            async with aclosing(self.source.watch(origins)) as heads, asyncio.timeout(FIRST_HEAD_SECONDS) as limit:  # type: ignore[type-var]
                async for announced in heads:
                    if limit.when() is not None:
                        limit.reschedule(None)
                        self._avoided_until = 0.0
                    yield announced

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        """Chunks that cover [start, end): asked for, and waited for, as is the source's pace."""
        at = stop = start
        while stop < end and at == stop:
            stop = self._pace.range_end(at, end)
            async with aclosing(self.source.entries(origin, at, stop, size)) as chunks:  # type: ignore[type-var]
                while (chunk := await self._chunk(chunks)) is not None:
                    at = chunk.end
                    yield chunk

    async def _chunk(self, chunks: AsyncIterator[Chunk]) -> Chunk | None:
        began = monotonic()
        with self._errors():
            try:
                async with self._wait(self._pace.seconds):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                self._pace.late()
                raise
        if chunk is not None:
            self._pace.came(monotonic() - began)
        return chunk

    async def _answer(self, answer: Awaitable[T]) -> T:
        with self._errors():
            async with self._wait(self._answer_seconds):
                return await answer

    @asynccontextmanager
    async def _wait(self, seconds: float) -> AsyncIterator[None]:
        """Raises TimeoutError where the block takes longer, counted from the last bytes that came, if they are seen."""
        async with asyncio.timeout(seconds) as limit:
            self._waits[limit] = asyncio.get_running_loop().time() + self._pace.max_seconds
            try:
                yield
            finally:
                del self._waits[limit]

    def _extend_waits(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit, end in self._waits.items():
            if not limit.expired():
                limit.reschedule(max(limit.when() or now, min(now + self._answer_seconds, end)))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (NotFound, NotAvailableYet):
            raise
        except Busy as error:
            self._avoid(error.retry_after)
            raise
        except TimeoutError:
            self._avoid()
            raise Unavailable(f"{self.address} does not answer") from None
        except Unavailable:
            self._avoid()
            raise
        except MintmarkError as error:
            self._avoid()
            raise Unavailable(f"{self.address} refuses: {error}") from error

    def _avoid(self, seconds: float = AVOID_SECONDS) -> None:
        self._avoided_until = monotonic() + seconds
