"""No head that was acknowledged or shown is forgotten: a database that goes back is not signed for (incidents 4, 5)."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.client.mint_client import MintClient
from mintmark.errors import Fork, MintmarkError, Rejected, Unavailable, Untrusted
from mintmark.mint.claim import Claim, read_newest
from mintmark.mint.high_water_mark import raise_high_water_mark
from mintmark.tlog.checkpoint import sign_checkpoint
from tests.support.mint_site import THINGS, copied, create, go_to, put, save, stored
from tests.support.minting import ORIGIN, TOKEN, Keys, MintProcess, append

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.mint_site import Site
    from tests.support.postgres import TestPostgres

ROUNDS = 6


async def test_a_database_that_goes_back_by_a_moment_is_refused_and_goes_on_once_it_is_whole(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"first"])
        for number in range(ROUNDS):
            save(site.database, f"before_{number}")
            answer = await put(client, [b"acknowledged %d" % number])
            save(site.database, f"after_{number}")
            go_to(site.database, f"before_{number}")
            for _ in range(2):
                with pytest.raises(
                    Untrusted, match=f"has signed {number + 2} entries, and its database holds {number + 1}"
                ):
                    await put(client, [b"another history"])
            go_to(site.database, f"after_{number}")
            assert answer.first == number + 1
        entries, _ = await stored(client, THINGS)
        assert entries == [b"first", *(b"acknowledged %d" % number for number in range(ROUNDS))]
        assert (await put(client, [b"goes on"])).first == ROUNDS + 1
    assert await site.check(THINGS) == ROUNDS + 2


async def test_a_database_that_went_back_and_grew_again_elsewhere_is_a_fork(site: Site, tmp_path: Path) -> None:
    elsewhere = apart(site, tmp_path)
    async with site.running() as client, elsewhere.running() as other:
        await create(client)
        await put(client, [b"first"])
        save(site.database, "before")
        await put(client, [b"acknowledged"])
        go_to(site.database, "before")
        await put(other, [b"another", b"history"])  # whose mint has never heard of what was lost
        with pytest.raises(Untrusted, match="holds another tree than the one that it has signed"):
            await put(client, [b"more"])


async def test_a_head_that_was_only_shown_is_not_forgotten(site: Site, tmp_path: Path) -> None:
    elsewhere = apart(site, tmp_path)
    async with site.running() as client, elsewhere.running() as other:
        await create(client)
        await put(client, [b"first"])
        save(site.database, "before")
        note = (await put(other, [b"of another mint"])).note
        assert await client.checkpoint(THINGS) == note
        go_to(site.database, "before")
        with pytest.raises(Untrusted, match="has signed 2 entries, and its database holds 1"):
            await put(client, [b"another history"])


async def test_a_mint_that_was_killed_knows_what_it_acknowledged_in_its_last_moment(
    mint_db: str, tmp_path: Path
) -> None:
    keys = Keys(tmp_path)
    process = MintProcess(keys, mint_db)
    await process.start()
    async with MintClient(process.address, token=TOKEN) as client:
        await until_serving(client)
        await client.create(ORIGIN, "opaque")
        marked = (await append(client, [b"marked"])).note
        save(mint_db, "before")
        await append(client, [b"acknowledged"])
        await process.kill()
        (keys.directory / "things.mark").write_bytes(marked)  # as it is where the second was not over
        go_to(mint_db, "before")
        await process.start()
        await until_serving(client)
        with pytest.raises(Untrusted, match="has signed 2 entries, and its database holds 1"):
            await append(client, [b"another history"])
        await process.kill()


async def test_of_two_mints_on_two_databases_with_one_directory_of_keys_one_signs(
    site: Site, postgres: TestPostgres
) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    copy = copied(postgres, site.database)
    async with site.running() as client, site.running(database=copy) as other:
        answers = await asyncio.gather(
            *(put(each, [b"%d" % number]) for number in range(20) for each in (client, other)), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(refused) == 20
        assert all("a mint on another database signs with this key now" in str(answer) for answer in refused)
        first = client if not isinstance(answers[0], Exception) else other
        assert (await put(first, [b"goes on"])).first == 21
    async with site.running(database=site.database if first is other else copy) as second:
        with pytest.raises(Untrusted, match="an older copy"):
            await put(second, [b"another history"])
    postgres.drop(str(conninfo_to_dict(copy)["dbname"]))


async def test_who_is_killed_leaves_the_claim_to_another(mint_db: str, tmp_path: Path, postgres: TestPostgres) -> None:
    keys = Keys(tmp_path)
    process = MintProcess(keys, mint_db)
    await process.start()
    async with MintClient(process.address, token=TOKEN) as client:
        await until_serving(client)
        await client.create(ORIGIN, "opaque")
        await append(client, [b"one"])
        await process.kill()
    assert (keys.directory / "things.lock").exists()
    name = conninfo_to_dict(mint_db)["dbname"]
    postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    copy = copied(postgres, mint_db)
    async with keys.minting(copy) as client:
        assert (await append(client, [b"two"])).first == 1
    async with keys.minting(mint_db) as client:
        with pytest.raises(Untrusted, match="an older copy"):
            await append(client, [b"another history"])
    postgres.drop(str(conninfo_to_dict(copy)["dbname"]))


async def test_two_mints_on_one_database_share_the_claim(site: Site) -> None:
    async with site.running() as one, site.running() as two:
        await create(one)
        answers = await asyncio.gather(*(put(each, [b"x"]) for _ in range(30) for each in (one, two)))
        assert sorted(answer.first for answer in answers) == list(range(60))
    assert await site.check(THINGS) == 60


async def test_a_mark_that_is_replaced_is_seen_before_the_next_signature(site: Site) -> None:
    file, signer = site.keys / "things.mark", site.signers[THINGS]
    async with site.running() as client:
        await create(client)
        kept = (await put(client, [b"one"])).note
        await until_marked(site, kept)
        file.write_bytes(sign_checkpoint(THINGS, 1, bytes(32), [signer]).note)  # of the same size
        with pytest.raises(Untrusted, match="holds another tree than the one that it has signed"):
            await put(client, [b"two"])
        file.write_bytes(sign_checkpoint(THINGS, 5, bytes(32), [signer]).note)
        with pytest.raises(Untrusted, match="has signed 5 entries, and its database holds 1"):
            await put(client, [b"two"])
        file.write_bytes(kept)
        assert (await put(client, [b"two"])).first == 1


async def test_a_lock_that_was_removed_is_taken_again(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
        (site.keys / "things.lock").unlink()
        await put(client, [b"two"])
        assert (site.keys / "things.lock").exists()


async def test_where_the_key_cannot_be_claimed_nothing_is_signed_and_the_reason_is_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.keys / "things.lock").mkdir()
    async with site.running() as client:
        await create(client)
        with pytest.raises(MintmarkError):
            await put(client, [b"one"])
        assert (await client.checkpoint(THINGS)).split(b"\n")[1] == b"0"
    reason = (
        "things.lock, beside the key, cannot be written and locked: Is a directory; without it two mints could sign"
    )
    assert reason in capsys.readouterr().out


def test_a_mark_of_another_tree_of_the_same_size_is_no_mark_of_ours(site: Site) -> None:
    file, signer = site.keys / "things.mark", site.signers[THINGS]
    ours, other = (sign_checkpoint(THINGS, 3, bytes([fill]) * 32, [signer]).note for fill in (1, 2))
    file.write_bytes(other)
    with pytest.raises(Fork, match="has signed two trees of 3 entries"):
        raise_high_water_mark(file, ours)
    assert file.read_bytes() == other


async def test_a_claim_is_shared_by_one_database_and_ends_with_the_last(tmp_path: Path, site: Site) -> None:
    lock, head = tmp_path / "a.lock", tmp_path / "a.head"
    notes = [sign_checkpoint(THINGS, size, bytes(32), [site.signers[THINGS]]).note for size in (9, 10, 11)]
    one = await Claim.take(lock, head, "database one")
    two = await Claim.take(lock, head, "database one")
    with pytest.raises(Rejected, match="names 'database one', ours is 'database two'"):
        await Claim.take(lock, head, "database two")
    one.raise_newest(notes[1])
    two.raise_newest(notes[0])  # an answer that came late
    assert read_newest(head) == notes[1]
    assert two.is_moved()
    assert two.read_newest() == notes[1]
    assert not two.is_moved()
    two.raise_newest(notes[2])
    assert one.is_moved()
    one.release(notes[2])
    assert lock.exists()
    two.release(notes[1])  # the mark says less than the head
    assert not lock.exists()
    three = await Claim.take(lock, head, "database two")
    assert three.read_newest() == notes[2]
    three.release(notes[2])
    assert list(tmp_path.glob("a.*")) == []


def apart(site: Site, tmp_path: Path) -> Site:
    """The same log on the same database with another directory of keys, as on another machine."""
    shutil.copytree(site.keys, tmp_path / "elsewhere")
    return replace(site, keys=tmp_path / "elsewhere")


async def until_serving(client: MintClient) -> None:
    while True:
        try:
            await client.logs()
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def until_marked(site: Site, note: bytes) -> None:
    while not (file := site.keys / "things.mark").exists() or file.read_bytes() != note:  # noqa: ASYNC110  # a task
        await asyncio.sleep(0.05)
