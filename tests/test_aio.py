"""Items made ahead: the same ones in the same order, one more than asked for, and none left running."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import pytest

from mintmark.aio import Batcher, ByteBudget, prefetch, reload_on_change, supervise
from mintmark.errors import Busy

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


async def hold(budget: ByteBudget, count: int, until: asyncio.Event, ended: list[int], number: int) -> None:
    async with budget.hold(count, lambda: (ended.append(number), until.set())):
        await until.wait()


async def test_never_more_bytes_are_held_than_there_are() -> None:
    budget, ends, most = ByteBudget(100, slow_seconds=60), [asyncio.Event() for _ in range(5)], 0
    tasks = [asyncio.create_task(hold(budget, 40, end, [], number)) for number, end in enumerate(ends)]
    for end in ends:
        await asyncio.sleep(0.01)
        most = max(most, budget.held)
        end.set()
    await asyncio.gather(*tasks)
    assert (most, budget.held) == (80, 0)


async def test_who_waits_ends_the_slowest_but_nobody_who_makes_progress() -> None:
    budget, ends, ended = ByteBudget(100, slow_seconds=0.2), [asyncio.Event() for _ in range(3)], list[int]()
    async with budget.hold(20, lambda: ended.append(9)) as quick:
        tasks = [asyncio.create_task(hold(budget, 40, end, ended, number)) for number, end in enumerate(ends)]
        for _ in range(20):
            quick.touch()
            await asyncio.sleep(0.02)
            if ended:
                break
        assert ended == [0]
        await asyncio.sleep(0.02)
        assert not tasks[2].done()
        assert budget.held == 100
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)
    assert budget.held == 0


async def test_who_finds_no_room_is_told_to_come_again() -> None:
    budget = ByteBudget(100, slow_seconds=0.1, wait_seconds=0.3)
    async with budget.hold(1_000) as all_of_it:
        assert all_of_it.count == budget.held == 100
        with pytest.raises(Busy):
            async with budget.hold(1):
                raise AssertionError
    assert budget.held == 0


async def test_who_is_cancelled_while_waiting_holds_nothing() -> None:
    budget, end = ByteBudget(100, slow_seconds=60), asyncio.Event()
    async with budget.hold(100):
        waiting = [asyncio.create_task(hold(budget, 60, end, [], number)) for number in range(2)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
    await asyncio.sleep(0.01)
    assert budget.held == 60
    end.set()
    await waiting[1]
    assert budget.held == 0


async def test_the_newest_is_first_however_many_wait() -> None:
    budget, ends, done = ByteBudget(100, slow_seconds=60), [asyncio.Event() for _ in range(4)], list[int]()

    async def wait_for(number: int) -> None:
        await hold(budget, 100, ends[number], [], number)
        done.append(number)

    tasks = [asyncio.create_task(wait_for(number)) for number in range(4)]
    for number in (0, 3, 2, 1):
        await asyncio.sleep(0.01)
        ends[number].set()
    await asyncio.gather(*tasks)
    assert done == [0, 3, 2, 1]


async def test_a_task_that_fails_is_told_and_run_again_until_it_ends() -> None:
    told: list[BaseException] = []
    runs: list[int] = []

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise ValueError("a defect")
        if len(runs) == 2:
            other = asyncio.get_running_loop().create_future()
            other.cancel()
            await other  # not ours

    await asyncio.wait_for(supervise(work, told.append), 20)
    assert runs == [0, 1, 2]
    assert [type(error) for error in told] == [ValueError, asyncio.CancelledError]


async def test_a_supervised_task_ends_when_it_is_cancelled() -> None:
    told: list[BaseException] = []
    task = asyncio.create_task(supervise(lambda: asyncio.sleep(60), told.append))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert not told


async def test_whoever_waits_for_a_batch_that_was_cancelled_does_not_wait_for_ever() -> None:
    async def fetch(_: object) -> dict[int, int]:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(Batcher(fetch).get("key"), 5)
