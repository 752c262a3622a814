"""Incident 26: forged or junk signature lines.

Rejected where they are of a key that is known; never stored, never signed again.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import BadSignature, Malformed
from mintmark.mirror.catch_up import CatchUp
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.note import COSIGNATURE, generate_skey, parse_note, parse_vkey
from tests.support.places import follower, mirror, rows
from tests.support.world import World, flip

if TYPE_CHECKING:
    from mintmark.store.mirror.read_store import ReadStore

MIRROR = "mirror.example/one"
WRITTEN = ("head", "checkpoint", "bundle", "tile", "entry")


def log() -> World:
    world = World()
    world.append([os.urandom(20) for _ in range(300)])
    return world


def line(name: str, key_id: bytes, signature: bytes) -> bytes:
    return f"— {name} {base64.b64encode(key_id + signature).decode()}\n".encode()


def forged(world: World) -> bytes:
    """A line of the log's own name and key ID, which does not verify."""
    (signature,) = parse_note(world.notes[-1])[1]
    return line(world.origin, signature.key_id, flip(signature.signature, 5))


async def test_a_forged_line_of_a_known_key_spoils_the_note_beside_a_good_one(read_store: ReadStore) -> None:
    world = log()
    text, good = world.notes[-1].split(b"\n\n")
    for lines in (forged(world), forged(world) + good):
        note = text + b"\n\n" + lines
        with pytest.raises(BadSignature):
            await follower(read_store, world).step(world, note, "opaque")
    assert not any((await rows(read_store, *WRITTEN)).values())


async def test_lines_of_unknown_keys_are_dropped_before_anything_is_stored(read_store: ReadStore) -> None:
    world = log()
    junk = [line("stranger.example/log", os.urandom(4), os.urandom(64)), line(world.origin, b"junk", os.urandom(7))]
    dressed = World(world.origin, signer=world.signer)
    dressed.append(world.entries_)
    dressed.notes = [world.notes[-1] + b"".join(junk)]
    await mirror(read_store, dressed)
    found = await rows(read_store, "head", "checkpoint", "progress")
    assert found["head"][0][3] == found["checkpoint"][0][2] == found["progress"][0][2] == world.notes[-1]


async def test_a_forged_line_of_the_mirrors_own_is_not_taken_for_its_signature(read_store: ReadStore) -> None:
    world = log()
    key = generate_skey(MIRROR, COSIGNATURE)
    dressed = World(world.origin, signer=world.signer)
    dressed.append(world.entries_)
    dressed.notes = [world.notes[-1] + line(MIRROR, key.key_id, bytes(8) + os.urandom(64))]
    mirrored = CatchUp(read_store, world.origin, world.verifiers, [key])
    assert await mirrored.step(dressed, dressed.notes[0], "opaque")
    note = (await read_store.head(1)).note
    names = [signature.name for signature in parse_note(note)[1]]
    assert names == [world.origin, MIRROR]
    assert note.startswith(world.notes[-1])
    assert parse_vkey(key.vkey).verifies(*_last(note))


def _last(note: bytes) -> tuple[bytes, bytes]:
    text, lines = parse_note(note)
    return text, lines[-1].signature


@pytest.mark.parametrize(
    "junk",
    [
        b"\xe2\x80\x94 no base64 here!\n",
        b"- world.example/things AAAA\n",
        "— world.example/things\n".encode(),
        b"\xff\xfe\n",
        b"\n",
        "— a+b AAAAAAAA\n".encode(),
    ],
)
async def test_what_is_no_signature_line_makes_the_note_malformed(read_store: ReadStore, junk: bytes) -> None:
    world = log()
    with pytest.raises((Malformed, BadSignature)):
        open_checkpoint(world.notes[-1] + junk, world.origin, world.verifiers)
    with pytest.raises((Malformed, BadSignature)):
        await follower(read_store, world).step(world, world.notes[-1] + junk, "opaque")
    assert not any((await rows(read_store, *WRITTEN)).values())
