"""A proof file says what it proves: an entry and its item, each bound, in one file; and nothing else passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark import BadSignature, Malformed, ProofError, verify
from mintmark.register.entry import format_entry
from mintmark.register.item import item_hash
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.note import COSIGNATURE, generate_skey
from mintmark.tlog.proof_file import ProofParts
from tests.support.lighthouse import FAR, KIN, ROWS, user
from tests.support.proofs import proof_file, proves_inclusion
from tests.support.world import World

if TYPE_CHECKING:
    from mintmark.register.entry import Entry

AT_FAR, AT_KIN, AT_END, AT_ERASED = 9, 10, 11, 12
OTHER_FAR = FAR.replace(b"Far Point, West", b"Far Point, East")


def register(rows: list[tuple[Entry, bytes | None]], origin: str = "world.example/lighthouse") -> World:
    world = World(origin, "register", generate_skey(origin))
    world.append([format_entry(entry) for entry, _ in rows], [item or b"" for _, item in rows])
    return world


@pytest.fixture
def world() -> World:
    """The lighthouses; then KIN ends, and the item of another entry of FAR was erased."""
    return register([*ROWS, user("KIN", None), (user("FAR", OTHER_FAR)[0], None)])


@pytest.mark.parametrize("index", [0, AT_FAR, AT_KIN])
def test_one_file_holds_entry_and_item(world: World, index: int) -> None:
    proven = verify(proof_file(world, index), keys=world.signer.vkey)
    assert (proven.index, proven.head.origin, proven.head.size) == (index, world.origin, world.size)
    assert (proven.entry, proven.item) == (world.entries_[index], world.items[index])
    assert proven.register_entry == ROWS[index][0]
    assert [(line.name, line.key_id) for line in proven.signatures] == [(world.signer.name, world.signer.key_id)]


def test_a_reader_that_knows_no_extra_has_an_inclusion_proof(world: World) -> None:
    for index, leaf in enumerate(world.entries_):
        file = proof_file(world, index, None if world.items[index] else ProofParts(leaf))
        assert proves_inclusion(file, leaf)
        assert not proves_inclusion(file, world.entries_[index - 1])


def test_what_is_given_beside_must_be_what_the_file_holds(world: World) -> None:
    file, key = proof_file(world, AT_FAR), world.signer.vkey
    leaf = world.entries_[AT_FAR]
    assert verify(file, leaf, item=FAR, keys=key).item == FAR
    for entry, item in ((world.entries_[AT_KIN], None), (None, KIN), (None, OTHER_FAR), (b"", None), (None, b"")):
        with pytest.raises(ProofError, match="beside the proof file is not the one in it"):
            verify(file, entry, item=item, keys=key)


def test_a_file_of_hashes_alone_is_checked_with_what_is_given_beside(world: World) -> None:
    leaf, key = world.entries_[AT_FAR], world.signer.vkey
    for extra in (b"", b"of somebody else"):
        file = proof_file(world, AT_FAR, extra)
        assert (verify(file, leaf, keys=key).item, verify(file, leaf, item=FAR, keys=key).item) == (None, FAR)
        with pytest.raises(ProofError, match="not the one that the entry names"):
            verify(file, leaf, item=OTHER_FAR, keys=key)
        with pytest.raises(ProofError, match="not shown"):
            verify(file, world.entries_[AT_KIN], keys=key)
        with pytest.raises(Malformed, match="does not hold its entry"):
            verify(file, keys=key)


def test_a_forged_part_in_a_genuine_file(world: World) -> None:
    """Hashes, index and checkpoint are the log's own; nothing else of the file is."""
    leaf, key = world.entries_[AT_FAR], world.signer.vkey
    elsewhere = register([user("FAR", b'{"lighthouse":"FAR","name":"Elsewhere"}')], "other.example/lighthouse")
    forged = format_entry(user("FAR", OTHER_FAR, "2024-03-01T09:00:00Z")[0])
    for parts, message in (
        (ProofParts(leaf, KIN), "not the one that the entry names"),
        (ProofParts(leaf, elsewhere.items[0]), "not the one that the entry names"),
        (ProofParts(leaf, OTHER_FAR), "not the one that the entry names"),
        (ProofParts(leaf, b""), "not the one that the entry names"),
        (ProofParts(leaf, FAR + b"\n"), "not the one that the entry names"),
        (ProofParts(forged, OTHER_FAR), "not shown to be part"),
        (ProofParts(elsewhere.entries_[0], elsewhere.items[0]), "not shown to be part"),
        (ProofParts(world.entries_[AT_KIN], KIN), "not shown to be part"),
    ):
        with pytest.raises(ProofError, match=message):
            verify(proof_file(world, AT_FAR, parts), keys=key)


def test_an_item_where_the_entry_names_none(world: World) -> None:
    key = world.signer.vkey
    assert verify(proof_file(world, AT_END, ProofParts(world.entries_[AT_END])), keys=key).item is None
    for item in (KIN, b"", b"{}"):
        with pytest.raises(ProofError, match="names no item"):
            verify(proof_file(world, AT_END, ProofParts(world.entries_[AT_END], item)), keys=key)
    opaque = World()
    opaque.append([b"one", b"", b'{"key":"one"}'])
    for index, entry in enumerate(opaque.entries_):
        proven = verify(proof_file(opaque, index, ProofParts(entry)), keys=opaque.signer.vkey)
        assert (proven.entry, proven.item, proven.register_entry) == (entry, None, None)
        with pytest.raises(ProofError, match="names no item"):
            verify(proof_file(opaque, index, ProofParts(entry, b"{}")), keys=opaque.signer.vkey)


def test_an_erased_item_is_not_there_and_its_entry_is_proven(world: World) -> None:
    leaf, key = world.entries_[AT_ERASED], world.signer.vkey
    proven = verify(proof_file(world, AT_ERASED, ProofParts(leaf)), keys=key)
    assert proven.item is None
    assert proven.register_entry is not None
    assert proven.register_entry.item_hash == item_hash(OTHER_FAR)
    kept = verify(proof_file(world, AT_ERASED, ProofParts(leaf)), item=OTHER_FAR, keys=key)  # by somebody who has it
    assert kept.item == OTHER_FAR


def test_an_item_that_does_not_parse_is_bound_by_its_hash_all_the_same() -> None:
    item = b'{"count":7,"zoo":"numitem"}'
    world = register([user("numitem", item)], "world.example/zoo")
    proven = verify(proof_file(world, 0), keys=world.signer.vkey)
    assert (proven.item, proven.readable_item) == (item, None)


def test_a_witness_whose_key_is_given_is_told_with_its_time(world: World) -> None:
    witness, stranger = (generate_skey(name, COSIGNATURE) for name in ("witness.example", "stranger.example"))
    note = cosign(cosign(world.notes[-1], witness, 1_790_000_000), stranger, 1_790_000_001)
    keys, file = [world.signer.vkey, witness.vkey], proof_file(world, AT_FAR, note=note)
    proven = verify(file, keys=keys)
    assert proven.witnesses == {"witness.example": 1_790_000_000}
    assert {line.name for line in proven.signatures} == {world.origin, "witness.example"}
    start, _, line = cosign(world.notes[-1], witness, 1_790_000_000).rpartition(b" ")
    forged = start + b" " + line[:30] + (b"B" if line[30:31] == b"A" else b"A") + line[31:]
    with pytest.raises(BadSignature, match=r"witness\.example"):
        verify(proof_file(world, AT_FAR, note=forged), keys=keys)
