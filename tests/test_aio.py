"""Items made ahead: the same ones in the same order, one more than asked for, and none left running."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import pytest

from mintmark.aio import prefetch, reload_on_change

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Counting:
    """Numbers, each after a pause; raises before the number `fails`."""

    def __init__(self, fails: int | None = None) -> None:
        self.fails, self.made, self.closed = fails, 0, False

    async def numbers(self, count: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(count):
                await asyncio.sleep(0)
                if number == self.fails:
                    raise ValueError(number)
                self.made += 1
                yield number
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_all_items_come_in_order(count: int) -> None:
    assert [number async for number in prefetch(Counting().numbers(count))] == list(range(count))


async def test_the_next_is_made_while_one_is_looked_at_and_no_more() -> None:
    source = Counting()
    async with aclosing(prefetch(source.numbers(9))) as items:
        async for number in items:
            await asyncio.sleep(0.01)
            assert source.made == min(number + 2, 9)


async def test_a_failure_comes_after_the_items_before_it() -> None:
    source = Counting(fails=3)
    items = prefetch(source.numbers(9))
    assert [await anext(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        await anext(items)
    assert source.closed


async def test_ended_early_it_closes_its_source() -> None:
    source = Counting()
    async with aclosing(prefetch(source.numbers(9))) as items:
        assert await anext(items) == 0
    assert source.closed
    assert source.made <= 2


async def test_a_cancellation_while_it_closes_is_raised_when_all_is_closed() -> None:
    closed = []

    async def slow() -> AsyncGenerator[int, None]:
        try:
            yield 0
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            closed.append(True)

    async def take() -> None:
        with suppress(ValueError):
            async with aclosing(prefetch(slow())) as items:
                async for _ in items:
                    await asyncio.sleep(0.01)
                    raise ValueError

    task = asyncio.create_task(take())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert closed


async def test_a_cancellation_is_not_lost() -> None:
    async def endless() -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.sleep(60)
        yield 1

    async def take() -> None:
        async with aclosing(prefetch(endless())) as items:
            async for _ in items:
                pass

    task = asyncio.create_task(take())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_a_reload_that_failed_is_tried_again_and_what_changed_before_is_seen() -> None:
    """A stamp that stays as it is after the change, as when a file's mode is mended."""
    tries: list[str] = []

    async def reload() -> bool:
        tries.append("again")
        return len(tries) > 2

    task = asyncio.create_task(reload_on_change(lambda: "new", reload, 0.01, since="old"))
    await asyncio.sleep(0.2)
    task.cancel()
    assert len(tries) == 3
