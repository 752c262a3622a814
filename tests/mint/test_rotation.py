"""A log's key is changed while its mint and its mirrors run, as docs/operations.md says; and it can be taken back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from mintmark.config.trust_store import TrustStore
from mintmark.errors import BadSignature, Untrusted
from mintmark.mint.keys import KeyDirectory
from mintmark.mirror.server import serve_mirror
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.note import generate_skey, parse_note, parse_vkey
from tests.support.mint_site import THINGS, create, put

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mintmark.client.mint_client import MintClient
    from mintmark.tlog.note import SecretKey, Signer, Verifier
    from tests.support.mint_site import Site

PATIENCE_SECONDS = 60.0


async def test_a_key_is_changed_while_mint_and_mirror_run(site: Site, read_db: str, tmp_path: Path) -> None:
    old, new = site.signers[THINGS], generate_skey(THINGS)
    trust, config = tmp_path / "trust", tmp_path / "mirror.toml"
    trust.mkdir()
    trusted(trust, old)
    async with site.running() as client, open_pool(read_db, 2) as pool:
        store = ReadStore(pool)
        values = {"database": read_db, "sources": [client.address], "trust": str(trust), "logs": [THINGS]}
        config.write_text("[mirror]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        await create(client)
        await put(client, [b"one"])
        following = asyncio.create_task(serve_mirror(read_db, TrustStore(config)))
        await until(lambda: mirrored(store, 1))

        signing(site, old, new)  # the new key beside the old one: the head is signed with both, without an append
        await until(lambda: signed_by(client, old, new))
        trusted(trust, old, new)
        await until(lambda: grown(client, store, new))  # a mirror that has read the keys again stores the next head
        trusted(trust, new)
        signing(site, new)  # the old one is taken away
        await until(lambda: appended_by(client, [new]))
        size = open_checkpoint(await client.checkpoint(THINGS), THINGS, verifiers(new)).size
        await until(lambda: mirrored(store, size))
        with pytest.raises(BadSignature):
            open_checkpoint(await client.checkpoint(THINGS), THINGS, verifiers(old))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    async with site.running() as client:  # the new key alone is enough for a start
        assert (await put(client, [b"last"])).first == size


async def test_a_key_that_would_leave_a_head_nobody_can_verify_is_not_taken_and_there_is_a_way_back(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = site.signers[THINGS], generate_skey(THINGS)
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
        signing(site, new)
        await until(lambda: told(capsys, "has signed the head of mint.example/things: put the old key beside the new"))
        assert open_checkpoint((await put(client, [b"two"])).note, THINGS, verifiers(old)).size == 2
        signing(site, new, old)
        await until(lambda: signed_by(client, old, new))
        signing(site, old)  # and back
        await until(lambda: appended_by(client, [old]))


@pytest.mark.parametrize("text", ["", "not a key\n", None])
async def test_a_key_file_that_cannot_be_read_leaves_the_old_keys_in_force(
    site: Site, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    old, new = site.signers[THINGS], generate_skey(THINGS)
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
        file = site.keys / "things.key"
        file.unlink() if text is None else file.write_text(text)
        await until(lambda: told(capsys, "keys not reloaded"))
        assert open_checkpoint((await put(client, [b"two"])).note, THINGS, verifiers(old)).size == 2
        signing(site, old, new)
        await until(lambda: signed_by(client, old, new))


async def test_a_mint_that_starts_with_a_new_key_beside_the_old_one_signs_with_both_at_once(site: Site) -> None:
    old, new = site.signers[THINGS], generate_skey(THINGS)
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    signing(site, old, new)
    async with site.running() as client:
        await until(lambda: signed_by(client, old, new))
    signing(site, new)
    async with site.running() as client:
        assert open_checkpoint((await put(client, [b"two"])).note, THINGS, verifiers(new)).size == 2


async def test_a_mint_that_starts_with_a_key_that_signed_nothing_says_how_to_go_back(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"])
    signing(site, generate_skey(THINGS))
    async with site.running() as client:
        with pytest.raises(Untrusted, match=r"if its key was changed, put the old one back into things\.key"):
            await put(client, [b"two"])


async def test_a_mirror_keeps_the_old_key_while_its_stored_head_needs_it(
    site: Site, read_db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = site.signers[THINGS], generate_skey(THINGS)
    trust, config = tmp_path / "trust", tmp_path / "mirror.toml"
    trust.mkdir()
    trusted(trust, old)
    signing(site, old, new)
    async with site.running() as client, open_pool(read_db, 2) as pool:
        values = {"database": read_db, "sources": [client.address], "trust": str(trust), "logs": [THINGS]}
        config.write_text("[mirror]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        await create(client)
        await put(client, [b"one"])
        following = asyncio.create_task(serve_mirror(read_db, TrustStore(config)))
        await until(lambda: mirrored(ReadStore(pool), 1))
        await until(
            lambda: told(capsys, f"it is signed with the key {new.key_id.hex()} too, which is not trusted here")
        )
        trusted(trust, new)
        await until(lambda: told(capsys, "its stored head is signed by none of its new keys"))
        await put(client, [b"two"])
        await until(lambda: mirrored(ReadStore(pool), 2))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_a_stamp_of_keys_changes_with_a_file(site: Site) -> None:
    keys = KeyDirectory(site.keys)
    before = keys.stamp()
    assert keys.stamp() == before
    assert keys.signers(THINGS)[0].vkey == site.signers[THINGS].vkey
    assert not keys.is_changed(THINGS)
    signing(site, generate_skey(THINGS))
    assert keys.stamp() != before
    assert keys.is_changed(THINGS)
    assert keys.signers(THINGS)[0].vkey == site.signers[THINGS].vkey  # until they are put in force


def signing(site: Site, *signers: SecretKey) -> None:
    (site.keys / "things.key").write_text("".join(f"{signer.skey}\n" for signer in signers))


def trusted(directory: Path, *signers: Signer) -> None:
    (directory / "things.vkey").write_text("".join(f"{signer.vkey}\n" for signer in signers))


def verifiers(*signers: Signer) -> list[Verifier]:
    return [parse_vkey(signer.vkey) for signer in signers]


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await check():  # noqa: ASYNC110  # servers of other tasks
            await asyncio.sleep(0.05)


async def signed_by(client: MintClient, *signers: Signer) -> bool:
    """True if the head is signed by these keys and by no other."""
    lines = parse_note(await client.checkpoint(THINGS))[1]
    return {line.key_id for line in lines} == {signer.key_id for signer in signers}


async def appended_by(client: MintClient, signers: list[Signer]) -> bool:
    """Appends an entry; True if its head is signed by these keys and by no other."""
    await put(client, [b"more"])
    return await signed_by(client, *signers)


async def mirrored(store: ReadStore, size: int) -> bool:
    return [status.head for status in await store.status.of_logs()] == [size]


async def grown(client: MintClient, store: ReadStore, key: Signer) -> bool:
    """Appends an entry; True if the head that the mirror has by now is signed with a key."""
    await put(client, [b"more"])
    return await stored_by(store, key)


async def stored_by(store: ReadStore, signer: Signer) -> bool:
    """True if the mirror's accepted head is signed by this key."""
    note = (await store.progress(THINGS)).note
    return note is not None and any(line.key_id == signer.key_id for line in parse_note(note)[1])


async def told(capsys: pytest.CaptureFixture[str], text: str) -> bool:
    return text in capsys.readouterr().out
