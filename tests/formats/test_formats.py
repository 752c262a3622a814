"""Each kind of log: its files, its bundles, its leaf hashes, the entries it may begin with, and its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from mintmark.errors import Malformed, ProofError
from mintmark.formats import FORMATS, LogKind
from mintmark.formats.register import open_chunk
from mintmark.register.entry import Entry, format_entry
from mintmark.tlog import bundle, tile
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.kernel import leaf_hash
from mintmark.tlog.trust import LogVerifier
from tests.support.places import register
from tests.support.world import World, flip

if TYPE_CHECKING:
    from mintmark.tlog.trust import VerifiedChunk

KINDS = get_args(LogKind)
TOMBSTONE = format_entry(Entry("a", "2026-01-01T00:00:00Z", "user", None))
FIRST = {"opaque": b"bytes", "register": TOMBSTONE}


def test_every_kind_has_a_format() -> None:
    assert set(FORMATS) == set(KINDS)


def test_a_bundle_is_one_file_or_two() -> None:
    assert FORMATS["opaque"].bundle_paths(1234067, 256) == ("tile/entries/x001/x234/067",)
    assert FORMATS["register"].bundle_paths(1, 44) == ("tile/entries/001.p/44", "tile/items/001.p/44")


@pytest.mark.parametrize("kind", KINDS)
def test_paths_are_those_of_tlog_tiles(kind: LogKind) -> None:
    format_ = FORMATS[kind]
    assert format_.tile_path(1, 2, 256) == "tile/1/002"
    assert tile.parse_path(format_.tile_path(0, 273, 112)) == tile.Tile(0, 273, 112)
    for wrong in ((64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(Malformed):
            format_.tile_path(*wrong)
    with pytest.raises(Malformed):
        format_.bundle_paths(0, 257)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_is_cut_and_hashed(kind: LogKind) -> None:
    entries = [b"one", b"", b"three"]
    joined = bundle.join(entries)
    assert FORMATS[kind].leaf_hashes(joined) == b"".join(map(leaf_hash, entries))
    assert FORMATS[kind].cut_bundle(joined, 2) == bundle.join(entries[:2])
    with pytest.raises(Malformed):
        FORMATS[kind].cut_bundle(joined, 4)
    with pytest.raises(Malformed):
        FORMATS[kind].leaf_hashes(joined[:-1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_entry_says_the_kind(kind: LogKind) -> None:
    other: LogKind = "opaque" if kind == "register" else "register"
    entries = bundle.join([FIRST[kind], FIRST[other]])
    assert FORMATS[kind].begins_with(entries)
    assert not FORMATS[other].begins_with(entries)


@pytest.mark.parametrize("entries", [b"", b"\0", b"\0\5four"], ids=["nothing", "half a length", "too short"])
def test_bytes_that_hold_no_entry_begin_no_register(entries: bytes) -> None:
    assert not FORMATS["register"].begins_with(entries)


async def verified(world: World, start: int = 0) -> list[VerifiedChunk]:
    """The world's entries, but for those before `start`."""
    before = World(world.origin, world.kind, world.signer)
    if start:
        before.append(world.entries_[:start], world.items[:start])
    head = open_checkpoint(world.notes[-1], world.origin, world.verifiers)
    verifier = LogVerifier(world.origin, world.verifiers, head, before.edge)
    return [verifier.chunk(chunk) async for chunk in world.entries(world.origin, start, world.size, world.size)]


async def test_an_opaque_log_has_no_rows() -> None:
    world = World()
    world.append([b"entry %d" % number for number in range(300)])
    assert [list(FORMATS["opaque"].open_chunk(chunk)) for chunk in await verified(world)] == [[]]


@pytest.mark.parametrize("start", [0, 1, 256, 299])
async def test_a_register_has_a_row_for_each_new_entry(start: int) -> None:
    world = register(count=300)
    rows = [row for chunk in await verified(world, start) for row in FORMATS["register"].open_chunk(chunk)]
    assert [row.index for row in rows] == list(range(start, 300))
    assert [row.item for row in rows] == world.items[start:]
    assert [row.leaf_hash for row in rows] == [leaf_hash(entry) for entry in world.entries_[start:]]
    assert all(row.entry is not None and not row.missing for row in rows)


async def test_an_item_that_its_entry_does_not_bind_is_a_lie() -> None:
    (chunk,) = await verified(register(count=10))
    (part,) = chunk.bundles
    items = bundle.cut(part.items)
    for wrong in (bundle.join(items[1:]), bundle.join([*items[:-1], flip(items[-1], 3)]), b"\0", b""):
        with pytest.raises(ProofError):
            open_chunk(spoilt(chunk, wrong))


def spoilt(chunk: VerifiedChunk, items: bytes) -> VerifiedChunk:
    """The chunk with other items, as no verifier would let it be."""
    made = object.__new__(type(chunk))
    for name in ("start", "end", "hashes", "tiles", "edge"):
        object.__setattr__(made, name, getattr(chunk, name))
    object.__setattr__(made, "bundles", tuple(replace(part, items=items) for part in chunk.bundles))
    return made


async def test_an_item_that_did_not_come_is_missing() -> None:
    world = register(count=3)
    world.items[1] = b""
    (chunk,) = await verified(world)
    rows = open_chunk(chunk)
    assert [row.missing for row in rows] == [False, True, False]
    assert [row.item for row in rows] == [world.items[0], None, world.items[2]]
