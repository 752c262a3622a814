"""Incident 9: submission floods (TrustAsia, Sphinx, Wyvern, 2025).

Five times as many submissions as can be taken, for as long as it lasts: the age of the oldest that waits stays bounded.
Whatever waits, is in the next commit; what would have to wait longer is refused at the door.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from mintmark.errors import Busy
from mintmark.mint.pool import MAX_WAITING_ENTRIES
from mintmark.store.mint.mint_store import MintStore
from tests.support.minting import ORIGIN, Keys, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from mintmark.mint.logs import Logs
    from mintmark.store.log.model import Log
    from mintmark.store.mint.mint_store import MintCommit

SUBMITTERS, BATCH, COMMITS = 170, 2000, 8


class Counted:
    """How many commits were begun, and how many are done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = self.done = 0
        whole = MintStore.commit

        async def commit(store: MintStore, commit: MintCommit) -> None:
            self.begun += 1
            await whole(store, commit)
            self.done += 1

        monkeypatch.setattr(MintStore, "commit", commit)


async def test_what_waits_is_in_the_next_commit_however_many_are_refused(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, counted = Keys(tmp_path), Counted(monkeypatch)
    waited: list[int] = []
    refused: list[float] = []
    async with keys.logs(mint_db) as logs:
        await logs.create(ORIGIN, "opaque", False)
        log = await logs.store.log(ORIGIN)
        submitters = (submit(logs, log, counted, waited, refused) for _ in range(SUBMITTERS))
        await asyncio.gather(*submitters)
    assert len(refused) > 5 * len(waited), "five times what was taken"
    assert max(waited) <= 2, "its own commit, and the one that was under way"
    assert max(refused) <= 30
    assert SUBMITTERS * BATCH > 5 * MAX_WAITING_ENTRIES // 2
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == len(waited) * BATCH


async def submit(logs: Logs, log: Log, counted: Counted, waited: list[int], refused: list[float]) -> None:
    """Submits again and again, without any back-off, until there were enough commits."""
    entries = [os.urandom(4)] * BATCH
    while counted.done < COMMITS:
        begun = counted.begun
        try:
            await logs.append(log, request(entries))
        except Busy as busy:
            refused.append(busy.retry_after)
            await asyncio.sleep(0.001)
        else:
            waited.append(counted.done - begun)
