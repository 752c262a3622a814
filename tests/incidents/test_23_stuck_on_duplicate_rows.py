"""Incident 23: a signer stuck on duplicate sequence rows (trillian#646).

A crash between any two statements heals by itself: what is there twice is refused by a key, and read again; nobody has
to delete a row by hand.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from mintmark.errors import MintmarkError
from tests.support.minting import ORIGIN, Keys, request
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSE = """
    create function refuse() returns trigger language plpgsql as $$
        begin raise exception 'the server ends here' using errcode = '57P01'; end $$;
    create trigger refuse before insert or update on {table} for each row execute function refuse();
"""
WRITTEN = ["head", "tile", "bundle", "request"]


@pytest.mark.parametrize("table", WRITTEN)
async def test_a_commit_that_ends_at_any_statement_is_made_again_by_the_next_append(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], table: str
) -> None:
    keys = Keys(tmp_path)
    async with (
        keys.logs(mint_db, database_timeout=0.2) as logs,
        await psycopg.AsyncConnection.connect(mint_db, autocommit=True) as other,
    ):
        await logs.create(ORIGIN, "opaque", False)
        log = await logs.store.log(ORIGIN)
        await logs.append(log, request([os.urandom(20) for _ in range(300)]))
        stopped = request([os.urandom(20) for _ in range(300)])
        await other.execute(REFUSE.format(table=table).encode())
        with pytest.raises(MintmarkError):
            await logs.append(log, stopped)
        assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 300
        await other.execute(f"drop trigger refuse on {table}".encode())
        assert (await logs.append(log, stopped)).first == 300
        assert (await logs.append(log, request([b"next"]))).first == 600
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 601


async def test_two_mints_that_sequence_the_same_requests_leave_each_of_them_once(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys = Keys(tmp_path)
    async with keys.logs(mint_db) as one, keys.logs(mint_db) as two:
        await one.create(ORIGIN, "opaque", False)
        for _ in range(10):
            asked = [request([os.urandom(20) for _ in range(50)]) for _ in range(4)]
            log = await one.store.log(ORIGIN)
            first = [await one.append(log, each) for each in asked[:2]]
            again = [await two.append(log, each) for each in asked]
            assert [answer.first for answer in again[:2]] == [answer.first for answer in first]
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 10 * 4 * 50


async def test_a_mint_that_dies_before_it_hears_of_its_commit_starts_again_from_it(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys, size = Keys(tmp_path), 0
    async with Wire(mint_db).open() as wire:
        async with keys.logs(mint_db) as logs:
            await logs.create(ORIGIN, "opaque", False)
        for step in range(8):
            asked = request([os.urandom(20) for _ in range(100)])
            async with keys.logs(wire.conninfo, database_timeout=0.0) as dying:
                log = await dying.store.log(ORIGIN)
                wire.arm(step, deliver=True)
                try:
                    await dying.append(log, asked)
                except MintmarkError:
                    assert wire.cut
            async with keys.logs(mint_db) as restarted:
                assert (await restarted.append(log, asked)).first == size
            size += 100
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == size
