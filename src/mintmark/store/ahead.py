"""Making the next item while the last is looked at: where making waits for a database or a thread, both go on."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

T = TypeVar("T")


async def ahead(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
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
