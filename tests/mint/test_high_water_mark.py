"""A mint does not sign for a database that is not what the log last signed (incidents 4, 5 and 16)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.errors import BadSignature, Fork, Malformed, MintmarkError, Misconfigured, ProofError, Rollback, Untrusted
from mintmark.mint.high_water_mark import raise_high_water_mark, read_high_water_mark, write_high_water_mark
from mintmark.mint.keys import KeyDirectory, read_keys
from mintmark.mint.sequencer import Sequencer
from mintmark.store.connection.pool import open_pool
from mintmark.store.mint.mint_store import MintStore
from mintmark.tlog.checkpoint import open_checkpoint, sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import MLDSA44, generate_skey, parse_vkey
from tests.support.mint_site import THINGS, copied, create, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.mint_site import Site
    from tests.support.postgres import TestPostgres


async def opening(site: Site, database: str = "") -> MintmarkError | None:
    """Why the log of things cannot be signed for."""
    async with open_pool(database or site.database, 1) as pool:
        store = MintStore(pool)
        log = await store.log(THINGS)
        try:
            await Sequencer(log, store, None, KeyDirectory(site.keys)).open()  # type: ignore[arg-type]  # no appends
        except MintmarkError as error:
            return error
    return None


async def test_a_mark_is_kept_beside_the_key(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        assert not (site.keys / "things.mark").exists()
        answer = await put(client, [b"one"])
    assert (site.keys / "things.mark").read_bytes() == answer.note
    assert (site.keys / "things.key").exists()
    assert len(list(site.keys.iterdir())) == 4


async def test_of_several_mints_with_one_key_none_brings_the_mark_back(site: Site) -> None:
    async with site.running() as one, site.running() as other:
        await create(one)
        await put(one, [b"one"])
        newest = await put(other, [b"two"])
        for _ in range(30):  # both have written by then
            await asyncio.sleep(0.1)
            if read_high_water_mark(site.keys / "things.mark", THINGS, site.verifiers(THINGS)).size == 2:
                break
        file = KeyDirectory(site.keys).file(THINGS, "mark")
    assert file.read_bytes() == newest.note  # and as they stopped


def test_a_mark_only_rises(tmp_path: Path) -> None:
    signer, file = generate_skey(THINGS), tmp_path / "things.mark"
    notes = [sign_checkpoint(THINGS, size, bytes(32), [signer]).note for size in (1, 2, 3)]
    assert not raise_high_water_mark(file, notes[1])
    assert raise_high_water_mark(file, notes[1])
    assert not raise_high_water_mark(file, notes[2])
    assert raise_high_water_mark(file, notes[1])
    assert file.read_bytes() == notes[2]
    file.write_bytes(b"damaged")
    assert not raise_high_water_mark(file, notes[1])
    assert file.read_bytes() == notes[1]


async def test_an_older_copy_of_the_database_is_not_signed_for_until_it_has_caught_up(
    site: Site, postgres: TestPostgres
) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    old = copied(postgres, site.database)
    async with site.running() as client:
        newer = await put(client, [b"two"] * 300)
    async with site.running(database=old) as client:
        before = await client.checkpoint(THINGS)
        with pytest.raises(Untrusted, match="its database holds 1: an older copy"):
            await put(client, [b"another history"])
        assert await client.checkpoint(THINGS) == before
    refused = await opening(site, old)
    assert isinstance(refused, Rollback)
    assert refused.notes == (newer.note, before)
    assert (site.keys / "things.mark").read_bytes() == newer.note
    async with site.running() as client:  # the right one goes on
        assert (await put(client, [b"three"])).first == 301
    postgres.drop(str(conninfo_to_dict(old)["dbname"]))


async def test_another_history_is_not_signed_for(site: Site, postgres: TestPostgres) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    other = copied(postgres, site.database)
    kept = (site.keys / "things.mark").read_bytes()
    async with site.running(database=other) as client:
        await put(client, [b"another"] * 700)
    (site.keys / "things.mark").write_bytes(kept)
    async with site.running() as client:
        note = (await put(client, [b"two"])).note
    refused = await opening(site, other)
    assert isinstance(refused, Fork)
    assert refused.notes[0] == note
    assert await opening(site) is None
    postgres.drop(str(conninfo_to_dict(other)["dbname"]))


async def test_a_log_that_has_signed_is_not_begun_anew_in_an_empty_database(site: Site, new_database: object) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    async with site.running(database=new_database("mint")) as client:  # type: ignore[operator]  # the fixture's function
        with pytest.raises(Untrusted, match="restore its database"):
            await client.create(THINGS, "opaque")
        assert await client.logs() == []


async def test_a_mark_of_a_smaller_size_is_no_obstacle(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    mark = (site.keys / "things.mark").read_bytes()
    async with site.running() as client:
        await put(client, [b"two"] * 600)
    (site.keys / "things.mark").write_bytes(mark)
    assert await opening(site) is None
    (site.keys / "things.mark").unlink()
    assert await opening(site) is None


DAMAGES = {
    "bundle": ("update bundle set entries = overlay(entries placing '\\x00' from 5)", ProofError, "the last bundle"),
    "tile": (
        "update tile set hashes = overlay(hashes placing '\\x0000' from 1)",
        ProofError,
        "do not have the root",
    ),
    "root": ("update head set root = sha256('other')", ProofError, "do not have the root"),
    "size": ("update head set size = size - 1 where size > 0", ProofError, "do not have the root"),
    "note": (
        "update head set note = overlay(note placing 'AAAA' from octet_length(note) - 20)",
        BadSignature,
        "does not verify",
    ),
    "no bundle": ("delete from bundle", MintmarkError, "is lost or too narrow; run mintmark fsck"),
    "narrow bundle": ("update bundle set width = 1", MintmarkError, "is lost or too narrow; run mintmark fsck"),
    "no tile": ("delete from tile", MintmarkError, "a row of mint.example/things is damaged: .*; run mintmark fsck"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_database_is_not_signed_for(site: Site, damage: str) -> None:
    statement, error, reason = DAMAGES[damage]
    async with site.running() as client:
        await create(client)
        await put(client, [b"one", b"two", b"three"])
    with psycopg.connect(site.database) as conn:
        conn.execute(statement.encode())
        note = conn.execute("select note from head where size > 0").fetchone()
    async with site.running() as client:
        with pytest.raises(MintmarkError):
            await put(client, [b"four"])
    found = await opening(site)
    assert type(found) is error
    assert re.search(reason, str(found)), str(found)
    with psycopg.connect(site.database) as conn:
        assert conn.execute("select note from head where size > 0").fetchone() == note
        assert conn.execute("select count(*) from request").fetchone() == (1,)


async def test_a_key_is_changed_by_signing_once_with_both(site: Site) -> None:
    key = site.keys / "things.key"
    old, new = site.signers[THINGS], generate_skey(THINGS)
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    key.write_text(new.skey + "\n")
    assert isinstance(await opening(site), BadSignature)
    key.write_text(old.skey + "\n" + new.skey + "\n")
    async with site.running() as client:
        note = (await put(client, [b"two"])).note
    for signer in (old, new):
        assert open_checkpoint(note, THINGS, [parse_vkey(signer.vkey)]).size == 2
    key.write_text(new.skey + "\n")
    async with site.running() as client:
        note = (await put(client, [b"three"])).note
    assert open_checkpoint(note, THINGS, [parse_vkey(new.vkey)]).size == 3
    with pytest.raises(BadSignature):
        open_checkpoint(note, THINGS, [parse_vkey(old.vkey)])


async def test_a_log_may_sign_with_two_kinds_of_key(site: Site) -> None:
    signers = [generate_skey(THINGS), generate_skey(THINGS, MLDSA44)]
    (site.keys / "things.key").write_text("".join(f"{signer.skey}\n" for signer in signers))
    async with site.running() as client:
        await create(client)
        note = (await put(client, [b"one"])).note
    for signer in signers:
        assert open_checkpoint(note, THINGS, [parse_vkey(signer.vkey)]).size == 1


def test_marks_and_keys_are_read_strictly(tmp_path: Path) -> None:
    signer = generate_skey(THINGS)
    verifiers = [parse_vkey(signer.vkey)]
    mark = tmp_path / "things.mark"
    assert read_high_water_mark(mark, THINGS, verifiers).size == 0
    write_high_water_mark(mark, sign_checkpoint(THINGS, 0, EMPTY_ROOT, [signer]).note)
    write_high_water_mark(mark, sign_checkpoint(THINGS, 7, bytes(32), [signer]).note)
    assert read_high_water_mark(mark, THINGS, verifiers).size == 7
    assert [file.name for file in tmp_path.iterdir()] == ["things.mark"]
    mark.write_bytes(b"no checkpoint")
    with pytest.raises(Misconfigured, match=r"things.mark is damaged"):
        read_high_water_mark(mark, THINGS, verifiers)
    mark.write_bytes(sign_checkpoint(THINGS, 7, bytes(32), [generate_skey(THINGS)]).note)
    with pytest.raises(BadSignature):
        read_high_water_mark(mark, THINGS, verifiers)
    with pytest.raises(Misconfigured, match="is not there; name it with"):
        KeyDirectory(tmp_path / "nowhere")
    keys = KeyDirectory(tmp_path)
    with pytest.raises(Misconfigured, match="mintmark keygen"):
        keys.signers(THINGS)
    for text in ("", "what\n", signer.skey + "\n\n", signer.skey.replace("PRIVATE", "public") + "\n", "\xff"):
        (tmp_path / "things.key").write_text(text, encoding="latin-1")
        with pytest.raises(Misconfigured, match=r"things.key is not a secret key"):
            keys.signers(THINGS)
        with pytest.raises(Malformed, match=r"things.key is not a secret key"):
            read_keys(tmp_path / "things.key")


def test_a_mark_is_not_written_into_a_directory_that_is_gone(tmp_path: Path) -> None:
    """A directory of keys that was not mounted must not come back with a mark alone."""
    file = tmp_path / "keys" / "things.mark"
    with pytest.raises(Misconfigured, match=r"things\.mark cannot be written: .*/keys is not there"):
        write_high_water_mark(file, b"note")
    assert list(tmp_path.iterdir()) == []
    file.parent.mkdir()
    write_high_water_mark(file, b"note")
    assert file.read_bytes() == b"note"
