"""Incident 7: a receipt whose entry was never integrated (WoSign; Nessie, 2023).

kill -9 at every step: every acknowledged entry is in the log after the restart, where it was said to be, and provable.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.client.mint_client import MintClient
from mintmark.errors import MintmarkError
from tests.support.minting import ORIGIN, TOKEN, Keys, MintProcess, append, check_provable, request
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITERS, KILLS = 4, 6


class Writer:
    """Appends batch after batch, each until it is acknowledged, with the same request id."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        self.acknowledged: dict[int, bytes] = {}

    async def run(self, client: MintClient) -> None:
        while True:
            entries = [os.urandom(40) for _ in range(self.chance.choice([1, 1, 30, 300]))]
            id, first = os.urandom(16), None
            while first is None:
                try:
                    first = (await append(client, entries, id=id)).first
                except MintmarkError:
                    await asyncio.sleep(0.05)
            self.acknowledged.update(enumerate(entries, first))


async def test_every_acknowledged_entry_is_provable_after_kills_at_any_moment(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys, chance = Keys(tmp_path), random.Random(7)
    mint = MintProcess(keys, mint_db)
    writers = [Writer(number) for number in range(WRITERS)]
    async with MintClient(mint.address, token=TOKEN) as client:
        await mint.start()
        try:
            await until_made(client)
            tasks = [asyncio.create_task(writer.run(client)) for writer in writers]
            for _ in range(KILLS):
                before = sum(len(writer.acknowledged) for writer in writers)
                async with asyncio.timeout(30):
                    while sum(len(writer.acknowledged) for writer in writers) == before:  # noqa: ASYNC110  # a process
                        await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0, 0.3))
                await mint.kill()
                await mint.start()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await until_made(client)
            acknowledged = {index: entry for writer in writers for index, entry in writer.acknowledged.items()}
            assert len(acknowledged) == sum(len(writer.acknowledged) for writer in writers), "no index given twice"
            some = chance.sample(sorted(acknowledged), min(300, len(acknowledged)))
            await check_provable(client, {index: acknowledged[index] for index in some}, keys.verifiers())
            await check_all_there(client, acknowledged)
        finally:
            await mint.kill()
    await check_log(mint_db, ORIGIN, keys.verifiers())


@pytest.mark.parametrize("delivered", [False, True], ids=["not sent", "done and not heard of"])
async def test_an_answer_lost_between_any_two_steps_is_given_again_and_the_entries_are_there_once(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], delivered: bool
) -> None:
    keys, size, cuts = Keys(tmp_path), 0, 0
    async with Wire(mint_db).open() as wire:
        async with keys.logs(mint_db) as logs:
            await logs.create(ORIGIN, "opaque", False)
        for step in range(12):
            async with keys.logs(wire.conninfo) as logs:
                log = await logs.store.log(ORIGIN)
                wire.arm(step, deliver=delivered)
                entries = [os.urandom(20) for _ in range(100)]
                asked = request(entries)
                assert (await logs.append(log, asked)).first == size
                cuts += wire.cut
                assert (await logs.append(log, asked)).first == size
                size += len(entries)
    assert cuts >= 3
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == size


async def until_made(client: MintClient) -> None:
    """Waits for the mint to answer, and for its log to be there."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.create(ORIGIN, "opaque")
            except MintmarkError:
                await asyncio.sleep(0.05)
            else:
                return


async def check_all_there(client: MintClient, acknowledged: dict[int, bytes]) -> None:
    """Every acknowledged entry stands at its index in what the mint serves."""
    size = max(acknowledged) + 1
    found: dict[int, bytes] = {}
    async for chunk in client.entries(ORIGIN, 0, size, size):
        for number, joined in enumerate(chunk.entries):
            at, index = 0, chunk.start + 256 * number
            while at < len(joined):
                end = at + 2 + int.from_bytes(joined[at : at + 2], "big")
                found[index], at, index = joined[at + 2 : end], end, index + 1
    assert {index: found[index] for index in acknowledged} == acknowledged
