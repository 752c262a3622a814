"""fsck and notes: one flipped bit is mended by the signature itself; keys that were changed are no damage."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mintmark.fsck.damaged_notes import Opener
from mintmark.mirror.catch_up import CatchUp
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.note import COSIGNATURE, MLDSA44, format_note, generate_skey, parse_note, parse_vkey
from tests.support.fsck import checked, damage, mended
from tests.support.places import add_records, mirror, register

if TYPE_CHECKING:
    from mintmark.store.mirror.read_store import ReadStore


def test_any_flipped_bit_of_a_note_is_mended() -> None:
    world = register(count=300)
    mirror_key = generate_skey("mirror.example", COSIGNATURE)
    note = cosign(world.notes[0], mirror_key, 1_700_000_000)
    chance = random.Random(1)
    for _ in range(60):
        at, bit = chance.randrange(len(note)), 1 << chance.randrange(8)
        flipped = note[:at] + bytes([note[at] ^ bit]) + note[at + 1 :]
        opened = Opener(world.origin, world.verifiers, [parse_vkey(mirror_key.vkey)]).open(flipped)
        assert opened.wrong, (at, bit)
        assert opened.head is not None, (at, bit, opened)
        assert opened.head.note == note


def test_two_flipped_bits_are_not() -> None:
    world = register(count=300)
    note = bytearray(world.notes[0])
    for at in (60, 120):
        note[at] ^= 1
    opened = Opener(world.origin, world.verifiers).open(bytes(note))
    assert opened.head is None
    assert opened.wrong


def test_lines_by_keys_that_are_not_here_are_left_alone() -> None:
    world = register(count=300)
    former = generate_skey("mirror.example", COSIGNATURE)
    note = cosign(world.notes[0], former, 1_700_000_000)
    opened = Opener(world.origin, world.verifiers).open(note)
    assert (opened.wrong, opened.unknown_keys) == ("", False)
    assert opened.head is not None
    assert opened.head.note == note


def test_a_note_by_a_changed_key_is_strange_and_says_its_head() -> None:
    world = register(count=300)
    now = parse_vkey(generate_skey(world.origin).vkey)
    opened = Opener(world.origin, [now]).open(world.notes[0])
    assert opened.unknown_keys
    assert opened.head is not None
    assert (opened.head.size, opened.head.root) == (300, world.edge.root())


def test_no_cosigner_speaks_for_the_log() -> None:
    world = register(count=300)
    cosigner = generate_skey("mirror.example", MLDSA44)
    cosigned = cosign(world.notes[0], cosigner, 1_700_000_000)
    text, lines = parse_note(cosigned)
    alone = format_note(text, [line for line in lines if line.name == "mirror.example"])
    opened = Opener(world.origin, world.verifiers, [parse_vkey(cosigner.vkey)]).open(alone)
    assert opened.unknown_keys or opened.head is None


async def test_checkpoints_by_a_former_key_are_no_damage(read_store: ReadStore) -> None:
    world = register(count=300)
    await mirror(read_store, world)
    former, world.signer = world.signer, generate_skey(world.origin)
    keys = [parse_vkey(signer.vkey) for signer in (former, world.signer)]
    for signers in ([former, world.signer], [world.signer]):
        add_records(world, 100)
        world.notes[-1] = sign_checkpoint(world.origin, world.size, world.edge.root(), signers).note
        assert await CatchUp(read_store, world.origin, keys).step(world, world.notes[-1], "register")
    assert (await checked(read_store, world)).damages == []
    await damage(read_store, "update checkpoint set size = 301 where size = 300")
    (found,) = (await mended(read_store, world)).before.damages
    assert (found.table, found.key) == ("checkpoint", "301")
    assert (await checked(read_store, world)).damages == []


async def test_a_head_by_a_key_that_is_not_here_is_damage(read_store: ReadStore) -> None:
    world = register(count=300)
    await mirror(read_store, world)
    world.signer = generate_skey(world.origin)
    found = [str(d) for d in (await checked(read_store, world)).damages]
    assert any("head: note: none of the signatures is by a key that is here" in said for said in found), found
