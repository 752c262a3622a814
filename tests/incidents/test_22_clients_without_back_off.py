"""Incident 22: clients without back-off (Oak, 2026).

Who is refused for want of room is told when to come again; our own clients and mirrors come no sooner, and not all at
once.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from mintmark.aio import Backoff
from mintmark.client.mint_client import MintClient
from mintmark.client.sending import with_retries
from mintmark.errors import Busy, Unavailable
from mintmark.mirror.worker import MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS
from tests.incidents.test_20_one_tenants_limit import limited, spend
from tests.support.minting import ORIGIN, Keys, append
from tests.support.places import LiveWorld, until_shown, worker

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore

AFTER = 0.8  # seconds


async def test_a_refusal_says_when_to_come_again_and_is_right(mint_db: str, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    limited(keys, "tenant")
    async with keys.minting(mint_db) as owner:
        await owner.create(ORIGIN, "opaque")
        async with MintClient(owner.address, token="tenant") as tenant:
            after = await spend(tenant, ORIGIN)
            await asyncio.sleep(after)
            await append(tenant, [b"in time"])


class Times:
    """A call that is refused a few times, and when it was made."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left, self.at = error, times, []  # type: ignore[var-annotated]

    async def __call__(self) -> str:
        self.at.append(asyncio.get_running_loop().time())
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "done"

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in zip(self.at, self.at[1:], strict=False)]


async def test_a_client_comes_again_no_sooner_than_told_and_not_in_step_with_others() -> None:
    crowd = [Times(Busy("full", AFTER), 1) for _ in range(30)]
    assert await asyncio.gather(*(with_retries(call) for call in crowd)) == ["done"] * 30
    pauses = [call.pauses[0] for call in crowd]
    assert min(pauses) >= AFTER
    assert max(pauses) - min(pauses) > AFTER / 10


async def test_a_client_without_a_time_waits_longer_and_longer() -> None:
    call = Times(Unavailable("away"), 3)
    assert await with_retries(call) == "done"
    assert len(call.at) == 4
    assert all(pause > 0.05 for pause in call.pauses)


class Full(LiveWorld):
    """A source that has no room for a while."""

    asked: list[float]

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        self.asked.append(asyncio.get_running_loop().time())
        raise Busy("full", AFTER)


async def test_a_mirror_obeys_its_source(read_store: ReadStore) -> None:
    world = Full()
    world.asked = []
    world.append([os.urandom(20)])
    one = worker(read_store, [world], world)
    running = asyncio.create_task(one.run())
    try:
        async with asyncio.timeout(20):
            await until_shown(read_store, world)
            world.append([os.urandom(20)])
            while len(world.asked) < 4:  # noqa: ASYNC110  # the source says no more than that
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert all(after - before >= AFTER for before, after in zip(world.asked, world.asked[1:], strict=False))


def waited(failures: int) -> float:
    """The last of so many waits in a row."""
    backoff = Backoff(MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS)
    return [backoff.next() for _ in range(failures)][-1]


def test_back_off_grows_is_bounded_and_has_jitter() -> None:
    waits = [[waited(failures) for _ in range(50)] for failures in (1, 3, 6, 40)]
    assert [len(set(some)) > 40 for some in waits] == [True] * 4
    assert max(waits[0]) < min(waits[2])
    assert max(waits[3]) <= 30
