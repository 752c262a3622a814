"""Incident 13: clock skew.

A clock that is an hour wrong, or runs backwards: the timestamps of entries never do, and heads do not depend on it.
"""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import Rejected
from mintmark.mint.validation import AppendRequest, RecordDraft
from mintmark.register.entry import parse_entry
from mintmark.tlog import bundle
from tests.support.minting import ORIGIN, Keys, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.mint.logs import Logs

HOUR = 3600.0
FIELD = b'{"cardinality":"1","datatype":"string","field":"thing"}'
REGISTER = b'{"fields":["thing"],"register":"thing"}'


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def drafts(*items: RecordDraft) -> AppendRequest:
    return AppendRequest(os.urandom(16), os.urandom(32), items, len(items), 100)


def record(key: int, timestamp: str | None = None) -> RecordDraft:
    return RecordDraft(str(key), b'{"thing":"%d"}' % key, "user", timestamp)


def format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def define(logs: Logs) -> None:
    await logs.create(ORIGIN, "register", False)
    definitions = (
        RecordDraft("field:thing", FIELD, "system", None),
        RecordDraft("register:thing", REGISTER, "system", None),
    )
    await logs.append(await logs.store.log(ORIGIN), drafts(*definitions))


async def times(logs: Logs) -> list[str]:
    """The timestamps of the user entries, in the log's order."""
    (row,) = await logs.store.bundles((await logs.store.log(ORIGIN)).id, 0, 1, 2**20)
    entries = [parse_entry(leaf) for leaf in bundle.cut(row.entries)]
    return [entry.timestamp for entry in entries if entry.type == "user"]


async def test_timestamps_of_the_mints_own_never_run_backwards(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys, clock = Keys(tmp_path), Clock()
    async with keys.logs(mint_db, clock) as logs:
        await define(logs)
        log = await logs.store.log(ORIGIN)
        for key, jump in enumerate((0, HOUR, -2 * HOUR, 1, -HOUR, 3 * HOUR, -86_400)):
            clock.now += jump
            await logs.append(log, drafts(record(key)))
        found = await times(logs)
    assert len(found) == 7
    assert all(before <= after for before, after in pairwise(found))
    # A restart has forgotten nothing of it.
    async with keys.logs(mint_db, clock) as logs:
        await logs.append(await logs.store.log(ORIGIN), drafts(record(8)))
        assert (await times(logs))[-1] >= found[-1]
    await check_log(mint_db, ORIGIN, keys.verifiers())


async def test_a_clients_time_may_not_run_backwards_nor_ahead_of_the_mints(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys, clock = Keys(tmp_path), Clock()
    async with keys.logs(mint_db, clock) as logs:
        await define(logs)
        log = await logs.store.log(ORIGIN)
        await logs.append(log, drafts(record(1, format_time(clock.now))))
        with pytest.raises(Rejected, match="is before the last entry"):
            await logs.append(log, drafts(record(2, format_time(clock.now - HOUR))))
        with pytest.raises(Rejected, match="in the future"):
            await logs.append(log, drafts(record(2, format_time(clock.now + HOUR))))
        assert len(await times(logs)) == 1
        assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 3


async def test_heads_are_the_same_whatever_the_clock_says(new_database: Callable[[str], str], tmp_path: Path) -> None:
    keys, notes = Keys(tmp_path), []
    batches = [[b"%d" % number] * number for number in range(1, 6)]
    for shift in (0, HOUR, -HOUR, -40 * 365 * 86_400):
        clock = Clock()
        clock.now += shift
        async with keys.logs(new_database("mint"), clock) as logs:
            await logs.create(ORIGIN, "opaque", False)
            log = await logs.store.log(ORIGIN)
            found = []
            for batch in batches:
                clock.now -= 7
                found.append((await logs.append(log, request(batch))).note)
            notes.append(found)
        (keys.directory / "things.mark").unlink()
    assert notes[0] == notes[1] == notes[2] == notes[3]
