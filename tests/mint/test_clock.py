"""The mint's clock stamps what comes without a time; it may be wrong and go backwards (incident 13)."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Rejected
from mintmark.mint.keys import KeyDirectory
from mintmark.mint.logs import Logs
from mintmark.mint.pool import AppendPool
from mintmark.mint.validation import AppendRequest, RecordDraft
from mintmark.store.connection.pool import open_pool
from mintmark.store.mint.mint_store import MintStore
from mintmark.tlog import bundle
from tests.support.lighthouse import DEFINITIONS
from tests.support.lights import light
from tests.support.mint_site import LIGHTHOUSE

if TYPE_CHECKING:
    from mintmark.mint.pool import AppendResult
    from tests.support.mint_site import Site

NOON = 1_709_380_800.0  # 2024-03-02T12:00:00Z


async def test_timestamps_never_run_backwards_whatever_the_clock_does(site: Site) -> None:
    now = NOON
    async with open_pool(site.database, 2) as pool:
        logs = Logs(MintStore(pool), AppendPool(), KeyDirectory(site.keys), clock=lambda: now)
        await logs.create(LIGHTHOUSE, "register", False)
        log = await logs.store.log(LIGHTHOUSE)

        async def append(*drafts: RecordDraft) -> AppendResult:
            return await logs.append(log, AppendRequest(secrets.token_bytes(16), bytes(32), drafts, len(drafts), 100))

        await append(*(RecordDraft(key, item, "system", None) for key, item in DEFINITIONS))
        for step in (0, 3600, -3600, -7200, 1, 7200):
            now = NOON + step
            await append(RecordDraft("FAR", light("FAR"), "user", None), RecordDraft("FAR", b"", "user", None))
        now = NOON - 3600
        with pytest.raises(Rejected, match="in the future"):
            await append(RecordDraft("FAR", light("FAR"), "user", "2024-03-02T14:00:01Z"))
        with pytest.raises(Rejected, match="before the last entry"):
            await append(RecordDraft("FAR", light("FAR"), "user", "2024-03-02T11:00:00Z"))
        await logs.close()
        (row,) = await logs.store.bundles(log.id, 0, 1, 10**6)
    times = [json.loads(entry)["timestamp"][11:16] for entry in bundle.cut(row.entries)[len(DEFINITIONS) :: 2]]
    assert times == ["12:00", "13:00", "13:00", "13:00", "13:00", "14:00"]
    assert await site.check(LIGHTHOUSE) == len(DEFINITIONS) + 12
