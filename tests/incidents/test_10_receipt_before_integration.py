"""Incident 10: a deadline for integration missed (Aviator).

No receipt before integration exists at all: an append is answered after the commit, with a signed head that covers it,
and as long as the commit does not come there is no answer.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.kernel import leaf_hash
from mintmark.tlog.merkle import check_inclusion
from tests.support.minting import ORIGIN, Keys, append

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_answer_comes_with_a_head_that_has_the_entry_and_is_in_the_database(
    mint_db: str, tmp_path: Path
) -> None:
    keys = Keys(tmp_path)
    async with (
        keys.minting(mint_db) as client,
        await psycopg.AsyncConnection.connect(mint_db, autocommit=True) as database,
    ):
        await client.create(ORIGIN, "opaque")
        for count in (1, 300, 7):
            entries = [os.urandom(20) for _ in range(count)]
            answer = await append(client, entries)
            head = open_checkpoint(answer.note, ORIGIN, keys.verifiers())
            row = await (await database.execute("select size, root from head")).fetchone()
            assert row == (head.size, head.root)
            for offset in {0, count - 1}:
                index = answer.first + offset
                proof = (await client.inclusion(ORIGIN, index=index, size=head.size)).proof
                check_inclusion(index, head.size, leaf_hash(entries[offset]), proof, head.root)


async def test_there_is_no_answer_while_the_commit_cannot_be_made(mint_db: str, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    async with keys.minting(mint_db) as client, await psycopg.AsyncConnection.connect(mint_db) as other:
        await client.create(ORIGIN, "opaque")
        await other.execute("select 1 from head for update")
        waiting = asyncio.create_task(append(client, [b"held up"]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 1)
        assert open_checkpoint(await client.checkpoint(ORIGIN), ORIGIN, keys.verifiers()).size == 0
        await other.rollback()
        assert (await waiting).first == 0


def test_the_protocol_has_no_promise_of_a_later_integration() -> None:
    fields = {field.name for field in pb.AppendResponse.DESCRIPTOR.fields}
    assert fields == {"first", "count", "note", "warnings"}
