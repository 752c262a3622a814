"""Batches on their way into the database: the rows of one are sent while the one before it is committed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mintmark.store.mirror.model import Batch
    from mintmark.store.mirror.read_store import ReadStore

DEPTH = 3  # transactions at once


class CommitPipeline:
    """The open transactions of one log, oldest first.

    `async with`: at its end they are committed, and a source's trouble changes nothing of that, for all of it was
    verified. They are rolled back where one of them failed, and where the block was cancelled.
    """

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self._open: deque[asyncio.Task[bool]] = deque()
        self._failed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._failed or (error is not None and not isinstance(error, Exception)):
            for task in self._open:
                task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def put(self, batch: Batch) -> None:
        """Begins to write a batch, once there is room. Raises what `ReadStore.commit_batch` does, of a batch before."""
        while len(self._open) >= DEPTH:
            await self._first()
        before = self._open[-1] if self._open else None
        self._open.append(asyncio.create_task(self._store.commit_batch(batch, before)))

    async def finish(self) -> bool:
        """Waits until all is committed; whether the last batch moved the head."""
        moved = False
        while self._open:
            moved = await self._first()
        return moved

    async def _first(self) -> bool:
        task = self._open[0]
        try:
            return await task
        except Exception:
            self._failed = True
            raise
        finally:
            self._open.popleft()
