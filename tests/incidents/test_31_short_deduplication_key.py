"""Incident 31: a de-duplication key was cut to 128 bits (2026).

Full hashes are keys; and on every hit what is stored is compared with what came.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from mintmark.errors import NotFound, Rejected
from mintmark.mint.pool import AppendPool
from mintmark.register.item import format_hash, item_hash
from mintmark.tlog.kernel import leaf_hash
from tests.support.minting import ORIGIN, Keys, append, request
from tests.support.places import mirror
from tests.support.rsf import read_rsf
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore


async def test_a_request_id_that_comes_again_with_other_entries_is_refused(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys, id = Keys(tmp_path), os.urandom(16)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        first = await append(client, [b"one", b"two"], id=id)
        with pytest.raises(Rejected, match="stands for other entries"):
            await append(client, [b"one", b"too"], id=id)
        assert (await append(client, [b"one", b"two"], id=id)).first == first.first
    async with keys.minting(mint_db) as client:  # another process, which has it from the database alone
        with pytest.raises(Rejected, match="stands for other entries"):
            await append(client, [b"three"], id=id)
        assert (await append(client, [b"one", b"two"], id=id)).first == first.first
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 2


async def test_one_that_still_waits_is_compared_too() -> None:
    pool, id = AppendPool(), os.urandom(16)
    waiting = pool.add(1, request([b"one"], id))
    assert pool.add(1, request([b"one"], id)) is waiting
    with pytest.raises(Rejected, match="stands for other entries"):
        pool.add(1, request([b"two"], id))


async def test_the_same_entry_twice_is_two_entries(mint_db: str, tmp_path: Path, check_log: Callable[..., Any]) -> None:
    keys = Keys(tmp_path)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        assert [(await append(client, [b"alike"])).first for _ in range(3)] == [0, 1, 2]
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 3


async def test_a_leaf_hash_is_looked_up_by_all_of_its_bits(read_store: ReadStore) -> None:
    world = World()
    world.append([b"%d" % number for number in range(300)])
    await mirror(read_store, world)
    known = leaf_hash(b"17")
    with pytest.raises(NotFound, match="create index entry_leaf"):
        await read_store.leaf_index(1, known, 300)
    async with read_store.pool.connection() as conn:
        await conn.execute("create index entry_leaf on entry (log, leaf_hash)")
    assert await read_store.leaf_index(1, known, 300) == 17
    for half in (known[:16] + os.urandom(16), os.urandom(16) + known[16:]):
        with pytest.raises(NotFound):
            await read_store.leaf_index(1, half, 300)


@pytest.mark.parametrize("kind", ["mint", "read"])
async def test_no_key_or_index_is_made_of_a_part_of_a_hash(new_database: Callable[[str], str], kind: str) -> None:
    async with await psycopg.AsyncConnection.connect(new_database(kind)) as conn:
        found = await (await conn.execute("select indexdef from pg_indexes where schemaname = 'mintmark'")).fetchall()
    assert found
    for (definition,) in found:
        assert not [cut for cut in ("substr", "left(", "hashtext", "md5", " hash (") if cut in definition], definition


def test_items_of_a_file_are_known_by_the_whole_hash() -> None:
    item = b'{"name":"thing"}'
    whole = format_hash(item_hash(item))
    cut = whole[:-32] + ("0" * 32)
    line = b"append-entry\tsystem\tname\t2026-01-01T00:00:00Z\t%s\n"
    assert read_rsf(b"add-item\t%s\n" % item + line % whole.encode())
    with pytest.raises(Rejected, match="no item"):
        read_rsf(b"add-item\t%s\n" % item + line % cut.encode())
