"""Incident 4: inconsistent heads under one key (Venafi, 2017; a cloned machine).

Two mints on copies of one database: a mirror stops that log, keeps both notes and exits with 3; who cosigns, refuses
the second.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import psycopg

from mintmark.mirror.run_once import once
from mintmark.mirror.worker import Worker
from mintmark.postgres.server import USER
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.note import COSIGNATURE, generate_skey, parse_note
from tests.support.commands import spawn
from tests.support.minting import ORIGIN, Keys, append
from tests.support.places import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.note import Verifier
    from tests.support.postgres import TestPostgres

BEFORE, APART = 300, 200


def clone(postgres: TestPostgres, database: str) -> str:
    """A copy of a database, as a snapshot of a machine would hold it."""
    of = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{of}'")
    postgres.execute(f"create database {of}_clone template {of} owner {USER}")
    return database.replace(str(of), f"{of}_clone")


class Split:
    """One log, minted twice from the same beginning on."""

    def __init__(self, keys: Keys, copied: Keys, databases: tuple[str, str]) -> None:
        self.mints = list(zip((keys, copied), databases, strict=True))

    @classmethod
    async def make(cls, postgres: TestPostgres, mint_db: str, directory: Path) -> Split:
        keys = Keys(directory / "one")
        async with keys.minting(mint_db) as client:
            await client.create(ORIGIN, "opaque")
            await append(client, [os.urandom(20) for _ in range(BEFORE)])
        cloned = clone(postgres, mint_db)
        shutil.copytree(keys.directory, directory / "two")
        copied = Keys.__new__(Keys)
        copied.directory, copied.tokens = directory / "two", directory / "two" / "tokens.toml"
        return cls(keys, copied, (mint_db, cloned))

    @property
    def verifiers(self) -> list[Verifier]:
        return self.mints[0][0].verifiers()


async def test_a_mirror_that_sees_both_stops_and_keeps_both_notes(
    postgres: TestPostgres, mint_db: str, read_store: ReadStore, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    split = await Split.make(postgres, mint_db, tmp_path)
    (one, first), (two, second) = split.mints
    async with one.minting(first) as a, two.minting(second) as b:
        await append(a, [os.urandom(20) for _ in range(APART)])
        await append(b, [os.urandom(20) for _ in range(APART)])
        notes = [await client.checkpoint(ORIGIN) for client in (a, b)]
        trust = {ORIGIN: split.verifiers}
        (reached,) = await once(Worker("one", read_store, [a], trust), 10)
        assert reached.done
        before = await rows(read_store)
        (reached,) = await once(Worker("one", read_store, [a, b], trust), 10)
    assert (reached.done, reached.lied) == (False, True)
    after = await rows(read_store)
    assert before.pop("progress") != after.pop("progress")
    assert after == before
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.kind == "Fork"
    assert set(kept.notes) == set(notes)
    for note in kept.notes:  # a third party can check them with the log's key alone
        assert open_checkpoint(note, ORIGIN, split.verifiers).size == BEFORE + APART
    assert await check_log(read_store.pool.conninfo, ORIGIN, split.verifiers) == BEFORE + APART


async def test_the_command_exits_with_3_and_the_cosigner_refuses_the_second(
    postgres: TestPostgres, mint_db: str, read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    split = await Split.make(postgres, mint_db, tmp_path)
    (one, first), (two, second) = split.mints
    own, trust = tmp_path / "own.key", tmp_path / "trust"
    cosigner = generate_skey("mirror.example/one", COSIGNATURE)
    own.write_text(f"{cosigner.skey}\n")
    trust.mkdir()
    (trust / "things.vkey").write_text(f"{split.verifiers[0].vkey}\n")
    config = tmp_path / "mirror.toml"
    results = []
    async with one.minting(first) as a, two.minting(second) as b:
        await append(a, [os.urandom(20) for _ in range(APART)])
        await append(b, [os.urandom(20) for _ in range(2 * APART)])
        forked = await b.checkpoint(ORIGIN)
        for client in (a, b):
            values = {"database": read_db, "sources": [client.address], "trust": str(trust), "key": str(own)}
            config.write_text("[mirror]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()))
            results.append(await spawn("mirror", "--config", config, "--once", "--deadline", "10"))
    assert [result.code for result in results] == [0, 3], results
    head = await read_store.head(1)
    assert [line.name for line in parse_note(head.note)[1]] == [ORIGIN, cosigner.name]
    assert head.size == BEFORE + APART
    signed = [note for (*_, note, _) in (await rows(read_store, "checkpoint"))["checkpoint"]]
    assert not any(parse_note(note)[0] == parse_note(forked)[0] for note in signed)
    (kept,) = await read_store.evidence.of_log(1)
    assert {parse_note(note)[0] for note in kept.notes} == {parse_note(note)[0] for note in (head.note, forked)}
