"""A source as one worker knows it: how long it is waited for, how its refusals are told, and lanes of its own.

A source that is asked may hang, answer with any status, or send what is no message at all. None of this says anything
about the log, so all of it becomes Unavailable (or NotFound, NotAvailableYet, Busy where it says so): the next source
is asked. One that did so is asked last for a while, so that the logs that come after do not wait for it too.

The lanes bound what one source can have a worker do at once, and so a slow source holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from mintmark.errors import Busy, MintmarkError, NotAvailableYet, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

    from mintmark.sources.source import Announcement, ListedLog, Source
    from mintmark.tlog.trust import Chunk

T = TypeVar("T")

PATIENCE = 5.0  # seconds for one answer, or one chunk of many
FIRST = 15.0  # seconds for the first head of a stream: one that brings nothing may be stuck in a proxy
AVOIDED = 30.0  # seconds that a source is asked last
SHORT_LANES, LONG_LANES = 32, 2


class GuardedSource:
    """One source. It is a source itself, with better manners."""

    def __init__(self, source: Source) -> None:
        self.address, self.source = source.address, source
        self.short, self.long = asyncio.Semaphore(SHORT_LANES), asyncio.Semaphore(LONG_LANES)
        self.heard: str | None = "not reached yet"  # None: its stream is open
        self._avoided = 0.0

    @property
    def avoided(self) -> bool:
        """Whether it failed lately."""
        return monotonic() < self._avoided

    async def logs(self) -> Sequence[ListedLog]:
        """The logs it names."""
        return await self._ask(self.source.logs())

    async def checkpoint(self, origin: str) -> bytes:
        """The present note."""
        return await self._ask(self.source.checkpoint(origin))

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""
        return await self._ask(self.source.consistency(origin, old_size, size))

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        """Present notes, then each new one."""
        with self._named():
            async with aclosing(self.source.watch(origins)) as heads, asyncio.timeout(FIRST) as limit:  # type: ignore[type-var]
                async for announced in heads:
                    if limit.when() is not None:
                        limit.reschedule(None)
                        self._avoided = 0.0
                    yield announced

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        """Chunks that cover [start, end), each within `PATIENCE` seconds."""
        async with aclosing(self.source.entries(origin, start, end, size)) as chunks:  # type: ignore[type-var]
            while (chunk := await self._ask(anext(chunks, None))) is not None:
                yield chunk

    async def _ask(self, answer: Awaitable[T]) -> T:
        with self._named():
            async with asyncio.timeout(PATIENCE):
                return await answer

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (NotFound, NotAvailableYet):
            raise
        except Busy as error:
            self._avoided = monotonic() + error.retry_after
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

    def _avoid(self) -> None:
        self._avoided = monotonic() + AVOIDED
