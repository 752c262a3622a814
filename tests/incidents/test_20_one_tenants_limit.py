"""Incident 20: one tenant's limit hit all (Google, 2018).

Register A's quota never throttles B; nor does a flood of A leave no room for B.
"""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from mintmark.client.mint_client import MintClient
from mintmark.errors import Busy
from mintmark.mint.pool import AppendPool
from tests.support.minting import Keys, append, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

A, B = "mint.example/a", "mint.example/b"
QUOTA = 50  # entries a second


def limited(keys: Keys, token: str) -> None:
    """Adds a token with a quota."""
    with keys.tokens.open("a") as file:
        file.write(f'\n[[token]]\nname = "{token}"\nsha256 = "{sha256(token.encode()).hexdigest()}"\n')
        file.write(f'rights = ["append"]\nquota = {QUOTA}\n')


async def spend(client: MintClient, origin: str) -> float:
    """Appends until there is no more quota; after how many seconds there is again."""
    for _ in range(20):
        try:
            await append(client, [os.urandom(20) for _ in range(QUOTA)], origin)
        except Busy as busy:
            return busy.retry_after
    pytest.fail("the quota was never spent")


async def test_a_spent_quota_of_one_register_is_no_other_registers(mint_db: str, tmp_path: Path) -> None:
    keys = Keys(tmp_path, A, B)
    limited(keys, "tenant")
    limited(keys, "neighbour")
    async with keys.minting(mint_db) as owner:
        for origin in (A, B):
            await owner.create(origin, "opaque")
        async with (
            MintClient(owner.address, token="tenant") as tenant,
            MintClient(owner.address, token="neighbour") as other,
        ):
            assert await spend(tenant, A) > 0
            await append(tenant, [b"the same tenant, in another register"], B)
            await append(other, [b"another tenant, in the same register"], A)
            await append(owner, [b"and one without a quota"], A)
            with pytest.raises(Busy):
                await append(tenant, [b"still spent"], A)


async def test_a_log_whose_commits_are_stuck_fills_its_share_and_no_more(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys = Keys(tmp_path, A, B)
    async with keys.logs(mint_db) as logs, await psycopg.AsyncConnection.connect(mint_db) as stuck:
        for origin in (A, B):
            await logs.create(origin, "opaque", False)
        log = {origin: await logs.store.log(origin) for origin in (A, B)}
        await stuck.execute("select 1 from head where log = %s for update", (log[A].id,))
        flood = [asyncio.create_task(logs.append(log[A], request([os.urandom(9)] * 1000))) for _ in range(200)]
        await asyncio.wait(flood, timeout=0.5)
        refused = [task for task in flood if task.done() and isinstance(task.exception(), Busy)]
        assert 0 < len(refused) < 200
        for _ in range(5):
            await logs.append(log[B], request([os.urandom(9)] * 1000))
        await stuck.rollback()
        await asyncio.gather(*flood, return_exceptions=True)
        taken = sum(1000 for task in flood if task.exception() is None)
    assert await check_log(mint_db, A, keys.verifiers(A)) == taken
    assert await check_log(mint_db, B, keys.verifiers(B)) == 5000


async def test_whoever_floods_leaves_room() -> None:
    pool = AppendPool(entries=1000, size=2**20)
    for log in range(5):
        assert fill(pool, log) > 0
    pool.add(99, request([b"x"] * 10))


def fill(pool: AppendPool, log: int) -> int:
    """How many requests a log gets in, until it is refused."""
    for taken in range(1000):
        try:
            pool.add(log, request([b"x"] * 10))
        except Busy:
            return taken
    pytest.fail("nothing was ever refused")
