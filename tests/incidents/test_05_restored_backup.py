"""Incident 5: a restored, older backup signed again.

A mint whose database is older than a checkpoint that it knows refuses to sign, until the database has caught up.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import MintmarkError
from tests.incidents.test_04_two_heads_under_one_key import clone
from tests.support.minting import ORIGIN, Keys, append

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.postgres import TestPostgres


async def test_a_mint_on_an_older_copy_refuses_to_sign(
    postgres: TestPostgres, mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys = Keys(tmp_path)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        await append(client, [os.urandom(20) for _ in range(300)])
    backup = clone(postgres, mint_db)
    async with keys.minting(mint_db) as client:
        await append(client, [os.urandom(20) for _ in range(100)])
    async with keys.minting(backup) as client:
        head = await client.checkpoint(ORIGIN)
        for _ in range(2):
            with pytest.raises(MintmarkError, match="has signed 400 entries, and its database holds 300") as caught:
                await append(client, [b"a second history"])
            assert "mirror" in str(caught.value)
        assert await client.checkpoint(ORIGIN) == head
    assert await check_log(backup, ORIGIN, keys.verifiers()) == 300
    async with keys.minting(mint_db) as client:  # the whole database is signed for, as before
        assert (await append(client, [b"goes on"])).first == 400


async def test_a_mint_whose_database_is_gone_does_not_begin_again(
    new_database: Callable[[str], str], mint_db: str, tmp_path: Path
) -> None:
    keys = Keys(tmp_path)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        await append(client, [os.urandom(20) for _ in range(10)])
    async with keys.minting(new_database("mint")) as client:
        with pytest.raises(MintmarkError, match="has signed 10 entries"):
            await client.create(ORIGIN, "opaque")
        with pytest.raises(MintmarkError):
            await client.checkpoint(ORIGIN)


async def test_a_mint_on_a_database_with_another_history_refuses_to_sign(
    postgres: TestPostgres, mint_db: str, tmp_path: Path
) -> None:
    keys = Keys(tmp_path)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        await append(client, [os.urandom(20) for _ in range(10)])
    other = clone(postgres, mint_db)
    mark = keys.directory / "things.mark"
    signed = mark.read_bytes()
    async with keys.minting(other) as client:
        await append(client, [b"one history"] * 5)
    mark.write_bytes(signed)
    async with keys.minting(mint_db) as client:
        await append(client, [b"another"] * 3)
    async with keys.minting(other) as client:
        with pytest.raises(MintmarkError, match="another tree than the one that it has signed"):
            await append(client, [b"more"])
