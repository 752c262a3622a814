"""fsck and rebuild as commands: both kinds of database, what they print, what they return."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import psycopg
import pytest

from mintmark.cli import exits
from mintmark.cli.databases import databases
from mintmark.errors import Misconfigured
from mintmark.fsck.resume_state import ResumeState, resume_file
from mintmark.tlog import bundle
from tests.support.commands import spawn
from tests.support.minting import ORIGIN, Keys
from tests.support.places import mirror, mirror_config, register, rows
from tests.support.world import serve

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore
    from tests.support.commands import Run

SPOIL = b"update bundle set entries = set_byte(entries, 9, 0) where index = 1"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of cursors."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


async def spoil(database: str, *statements: bytes) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        for statement in statements or (SPOIL,):
            assert (await conn.execute(statement)).rowcount


async def test_a_read_database_from_damage_to_repair(read_store: ReadStore, read_db: str, tmp_path: Path) -> None:
    world = register(count=700)
    await mirror(read_store, world)
    before = await rows(read_store)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    sound = await spawn("fsck", "--config", config)
    assert (sound.code, sound.out) == (exits.OK, "read database, world.example/thing: 700 entries, no damage\n")
    await spoil(read_db)
    found = await spawn("fsck", "thing", "--config", config)
    assert found.code == exits.LIED
    assert found.out == (
        "world.example/thing: bundle 1: entries: they do not have the hashes that were signed\n"
        "read database, world.example/thing: 700 entries, 1 damage\n"
    )
    async with serve(world) as address:
        mended = await spawn("fsck", "--config", config, "--repair-from", address, "--json")
    (log,) = json.loads(mended.out)["logs"]
    assert (mended.code, len(log["damages"]), log["left"], log["size"], log["upto"]) == (exits.OK, 1, [], 700, 256)
    assert log["damages"][0]["table"] == "bundle"
    assert await rows(read_store) == before
    assert (await spawn("fsck", "--config", config)).code == exits.OK


async def test_a_mints_database_and_both_at_once(
    mint_db: str, read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    keys = Keys(tmp_path / "keys")
    entries = bundle.join(b"entry %d" % number for number in range(700))
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        await client.append(ORIGIN, os.urandom(16), entries)
        world = register(count=300)
        await mirror(read_store, world)
        config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
        values = {"database": mint_db, "keys": str(keys.directory), "tokens": str(keys.tokens)}
        with config.open("a") as file:
            file.write("[mint]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        both = await spawn("fsck", "--config", config, "--json")
        logs = json.loads(both.out)["logs"]
        assert [(log["database"], log["size"], log["damages"]) for log in logs] == [
            ("mint", 700, []),
            ("read", 300, []),
        ]
        one = await spawn("fsck", "--config", config, "--database", "mint")
        assert one.out == f"mint database, {ORIGIN}: 700 entries, no damage\n"
    await spoil(mint_db)
    await spoil(read_db, b"update entry set key = 'other' where index = 7")
    assert (await spawn("fsck", "--config", config)).code == exits.LIED
    async with serve(world) as address:  # a source of one of them keeps the other from nothing
        partly = await spawn("fsck", "--config", config, "--repair-from", address)
    assert partly.code != exits.OK
    assert f"mint database, {ORIGIN}: 700 entries, 1 damage\n" in partly.out
    assert "world.example/thing: 300 entries, 1 damage, all mended\n" in partly.out


async def test_a_log_without_a_key_is_told_and_the_others_are_checked(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    worlds = [register(f"world.example/{name}", 300) for name in ("known", "strange")]
    for world in worlds:
        await mirror(read_store, world)
    said = await spawn("fsck", "--config", mirror_config(tmp_path, read_db, ["127.0.0.1:1"], worlds[0]))
    assert (said.code, "known: 300 entries, no damage" in said.out) == (exits.ERROR, True)
    assert "no key of world.example/strange" in said.err


def test_what_cannot_be_checked_is_named(run: Run, read_db: str, tmp_path: Path) -> None:
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"])
    for arguments in (("fsck", "nothing"), ("rebuild", "nothing")):
        said = run(*arguments, "--config", config)
        assert (said.code, "'nothing'" in said.err) == (exits.ERROR, True)
    assert run("fsck", "--config", tmp_path / "away.toml").code == exits.ERROR
    assert run("fsck", "--config", config, "--database", "mint").code == exits.ERROR


async def test_a_source_that_is_away_is_exit_4_and_one_that_lies_3(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    world = register(count=700)
    await mirror(read_store, world)
    await spoil(read_db)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    away = await spawn("fsck", "--config", config, "--repair-from", "127.0.0.1:1")
    assert away.code == exits.NOT_YET
    other = register(count=700)
    other.signer = register().signer
    other.notes.clear()
    other.append([b"x"], [b""])
    async with serve(other) as address:
        lied = await spawn("fsck", "--config", config, "--repair-from", address)
    assert lied.code == exits.LIED
    async with read_store.pool.connection() as conn:
        row = await (await conn.execute("select get_byte(entries, 9) from bundle where index = 1")).fetchone()
    assert row == (0,)


async def test_an_interrupted_check_goes_on_where_it_was(
    read_store: ReadStore, read_db: str, tmp_path: Path, state: Path
) -> None:
    world = register(count=700)
    await mirror(read_store, world)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    (database,) = databases(config, "read")
    cursor = ResumeState(resume_file(state / "mintmark" / "fsck", database.conninfo, world.origin))
    cursor._saved -= 100
    cursor.move(512)
    on = await spawn("fsck", "--config", config, "--json")
    (log,) = json.loads(on.out)["logs"]
    assert (log["since"], "going on at entry 512" in on.err) == (512, True)
    anew = json.loads((await spawn("fsck", "--config", config, "--json")).out)["logs"][0]
    assert anew["since"] == 0
    since = json.loads((await spawn("fsck", "--config", config, "--json", "--since", 300)).out)["logs"][0]
    assert since["since"] == 256


def test_a_cursor_that_says_nothing_is_the_beginning(tmp_path: Path) -> None:
    cursor = ResumeState(resume_file(tmp_path, "host=x", "a/b"))
    assert cursor.load() == 0
    cursor.file.parent.mkdir(parents=True)
    for wrong in (b"", b"[]", b'{"upto":"x"}'):
        cursor.file.write_bytes(wrong)
        assert cursor.load() == 0
    cursor.end()
    cursor.end()


def test_a_configuration_without_a_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "empty.toml"
    file.write_text("")
    with pytest.raises(Misconfigured, match=r"neither a \[mint\] nor a \[mirror\]"):
        databases(file, None)


async def test_rebuild_makes_lost_rows_again(read_store: ReadStore, read_db: str, tmp_path: Path) -> None:
    world = register(count=700)
    await mirror(read_store, world)
    before = await rows(read_store)
    await spoil(read_db, b"delete from entry where index > 9", b"update v1_tile set hashes = set_byte(hashes, 4, 0)")
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world)
    said = await spawn("rebuild", "thing", "--config", config, "--json")
    assert (said.code, json.loads(said.out)) == (exits.OK, {"origin": world.origin, "size": 700})
    assert await rows(read_store) == before
    await spoil(read_db)
    refused = await spawn("rebuild", "thing", "--config", config)
    assert (refused.code, "fsck --repair-from" in refused.err) == (exits.ERROR, True)
