"""A source as one worker knows it: how long it is waited for, which errors it raises, and lanes of its own.

A source may hang, answer with any status, or send bytes that are no message. None of this says anything about the log,
so all of it becomes Unavailable (or NotFound, NotAvailableYet, Busy where it says so): the next source is asked. One
that did so comes last for a while, so that the next logs do not wait for it too.

The lanes bound how much one source can have a worker do at once, and so a slow source holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from mintmark.errors import Busy, MintmarkError, NotAvailableYet, NotFound, Unavailable
from mintmark.sources.source import FileSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

    from mintmark.sources.source import Announcement, ListedLog, Source
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
        self._answer_seconds = answer_seconds
        self._avoided_until = 0.0

    @property
    def avoided(self) -> bool:
        """True if it failed lately."""
        return monotonic() < self._avoided_until

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

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        """Present notes, then each new one."""
        with self._errors():
            async with aclosing(self.source.watch(origins)) as heads, asyncio.timeout(FIRST_HEAD_SECONDS) as limit:  # type: ignore[type-var]
                async for announced in heads:
                    if limit.when() is not None:
                        limit.reschedule(None)
                        self._avoided_until = 0.0
                    yield announced

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        """Chunks that cover [start, end), each within `answer_seconds`."""
        async with aclosing(self.source.entries(origin, start, end, size)) as chunks:  # type: ignore[type-var]
            while (chunk := await self._answer(anext(chunks, None))) is not None:
                yield chunk

    async def _answer(self, answer: Awaitable[T]) -> T:
        with self._errors():
            async with asyncio.timeout(self._answer_seconds):
                return await answer

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
