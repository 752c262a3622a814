"""The pool: bounded whatever comes, fair between logs, and each request answered once."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest

from mintmark.auth.tokens import format_token
from mintmark.client.mint_client import MintClient
from mintmark.errors import Busy, Rejected
from mintmark.mint.pool import AppendPool, AppendResult
from mintmark.mint.server import running_mint
from mintmark.mint.validation import AppendRequest, JoinedEntries
from tests.support.lights import append as append_rows
from tests.support.lights import define, lights
from tests.support.mint_site import LIGHTHOUSE, THINGS, TOKEN, create, put

if TYPE_CHECKING:
    from tests.support.mint_site import Site

DONE = AppendResult(0, 1, b"")


def request(count: int = 1, size: int = 1) -> AppendRequest:
    return AppendRequest(secrets.token_bytes(16), secrets.token_bytes(32), JoinedEntries(b"", b"", b""), count, size)


def fill(pool: AppendPool, log: int, count: int = 1, size: int = 1) -> int:
    """Adds until the log is refused; how many entries that was."""
    added = 0
    while True:
        try:
            pool.add(log, request(count, size))
        except Busy:
            return added
        added += count


async def test_what_waits_is_taken_whole_and_in_order() -> None:
    pool = AppendPool()
    requests = [request() for _ in range(5)]
    for one in requests:
        pool.add(1, one)
    pool.add(2, request())
    assert [append.request for append in await pool.take(1)] == requests
    taker = asyncio.create_task(pool.take(1))
    await asyncio.sleep(0)
    assert not taker.done()
    pool.add(1, requests[0])  # not answered yet: it joins itself
    await asyncio.sleep(0)
    assert not taker.done()
    pool.add(1, last := request())
    assert [append.request for append in await taker] == [last]


async def test_there_is_room_for_other_logs_whatever_one_does() -> None:
    pool = AppendPool(entries=1200, size=10**9)
    assert fill(pool, 1) == 600
    assert fill(pool, 2) == 300
    assert fill(pool, 3) == 150
    assert fill(pool, 1) == 0
    assert fill(pool, 4, count=5) == 75


async def test_bytes_are_bounded_like_entries() -> None:
    pool = AppendPool(entries=10**9, size=1000)
    assert fill(pool, 1, size=100) == 5
    pool.add(2, request(size=250))
    with pytest.raises(Busy):
        pool.add(2, request(size=250))


async def test_room_is_given_back_with_the_answer() -> None:
    pool = AppendPool(entries=100, size=10**9)
    fill(pool, 1)
    appends = await pool.take(1)
    with pytest.raises(Busy):  # taken is not answered
        pool.add(1, request())
    for append in appends:
        append.settle(DONE)
        append.settle(DONE)  # nobody is answered twice
    await asyncio.sleep(0)
    assert fill(pool, 1) == 50
    for append in await pool.take(1):
        append.refuse(Rejected("no"))
        assert append.answer.exception()
    await asyncio.sleep(0)
    assert fill(pool, 1) == 50


async def test_a_refusal_says_when_there_will_be_room() -> None:
    pool = AppendPool(entries=2000, size=10**9)
    fill(pool, 1)
    with pytest.raises(Busy) as busy:
        pool.add(1, request())
    assert busy.value.retry_after == 1.0
    for _ in range(30):
        pool.record_commit(1, 500, 1.0)
    with pytest.raises(Busy) as busy:
        pool.add(1, request())
    assert busy.value.retry_after == pytest.approx(1000 / 500, rel=0.01)
    assert "1000 entries wait for this log" in str(busy.value)


async def test_a_request_that_comes_again_has_the_same_answer() -> None:
    pool = AppendPool()
    one = request()
    answer = pool.add(1, one)
    assert pool.add(1, one) is answer
    other = AppendRequest(one.id, secrets.token_bytes(32), one.content, 1, 1)
    with pytest.raises(Rejected, match="stands for other entries"):
        pool.add(1, other)
    assert pool.add(2, other) is not answer  # ids are of one log
    (append,) = await pool.take(1)
    append.settle(DONE)
    assert await answer == DONE


async def test_a_flood_is_pushed_back_and_no_other_log_feels_it(site: Site) -> None:
    async with site.running(max_waiting_entries=2000) as client:
        await create(client)
        await define(client)
        flood = [put(client, [b"%d" % number] * 100) for number in range(100)]
        others = [append_rows(client, lights(0, 1)) for _ in range(3)]
        answers = await asyncio.gather(*flood, *others, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert refused
    assert all(isinstance(error, Busy) and 0 < error.retry_after <= 30 for error in refused)
    assert not any(isinstance(answer, Exception) for answer in answers[-3:])
    assert await site.check(THINGS) == 100 * (100 - len(refused))  # no part of a batch was written
    assert await site.check(LIGHTHOUSE) > 3


async def test_a_quota_is_told_with_a_time_to_come_back(site: Site) -> None:
    limited = format_token("limited", "limited", ["append"]) + "quota = 10\n"
    site.tokens.write_text(site.tokens.read_text() + limited)
    async with running_mint(site.database, "127.0.0.1:0", site.keys, site.tokens) as mint:
        async with MintClient(mint.address, token=TOKEN) as client:
            await create(client)
            await define(client)
        async with MintClient(mint.address, token="limited") as client:
            await put(client, [b"one"] * 30)
            with pytest.raises(Busy, match="quota of 10 entries a second") as busy:
                await put(client, [b"two"])
            assert 0 < busy.value.retry_after <= 2
            await append_rows(client, lights(0, 5))
    assert await site.check(THINGS) == 30
