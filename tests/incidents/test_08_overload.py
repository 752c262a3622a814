"""Incident 8: overload beyond the tested size (Nessie, 2025).

Ten times the planned load: push-back, no partial write, memory flat.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from mintmark.client.mint_client import MintClient
from mintmark.errors import Busy, Unavailable
from mintmark.mint.pool import MAX_WAITING_ENTRIES
from tests.incidents.test_07_acknowledged_and_never_integrated import until_made
from tests.support.minting import ORIGIN, TOKEN, Keys, MintProcess, append

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BATCH, ROUNDS = 2000, 6
AT_ONCE = 10 * (MAX_WAITING_ENTRIES // 2) // BATCH  # ten times what one log may have waiting


async def test_ten_times_the_planned_load_is_pushed_back_whole(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys = Keys(tmp_path)
    mint = MintProcess(keys, mint_db)
    await mint.start()
    taken, memory, refused = 0, [], 0
    try:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(MintClient(mint.address, token=TOKEN)) for _ in range(4)]
            await until_made(clients[0])
            entries = [os.urandom(8)] * BATCH
            for _ in range(ROUNDS):
                answers = await flood(clients, entries)
                taken += sum(BATCH for answer in answers if not isinstance(answer, Exception))
                refused += sum(isinstance(answer, Busy) for answer in answers)
                assert {type(answer).__name__ for answer in answers} <= {"AppendAnswer", "Busy", "Unavailable"}
                memory.append(mint.memory())
    finally:
        await mint.kill()
    assert refused > AT_ONCE
    assert taken > 0
    assert max(memory[ROUNDS // 2 :]) < 1.3 * max(memory[: ROUNDS // 2])
    size = await check_log(mint_db, ORIGIN, keys.verifiers())
    assert size % BATCH == 0
    assert size >= taken


async def flood(clients: Sequence[MintClient], entries: Sequence[bytes]) -> list[Any]:
    """All at once; what became of each."""
    calls = (append(clients[number % len(clients)], entries) for number in range(AT_ONCE))
    return await asyncio.gather(*calls, return_exceptions=True)


def test_a_refusal_for_want_of_room_is_one_that_a_client_comes_back_from() -> None:
    assert not issubclass(Busy, Unavailable)
    assert Busy("full").retry_after > 0
