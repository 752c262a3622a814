"""Incident 24: a truncated tile stood at a full tile's path (tessera#1178).

Every tile and partial tile equals the reference, at every size up to 70,000: as the tree grows by single entries, and
as it is stored and served after growing by any other number.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

from mintmark.rpc import transport
from mintmark.tlog.edge import Edge
from tests.support.places import mirror, rows, served
from tests.support.world import World

if TYPE_CHECKING:
    from mintmark.store.mirror.read_store import ReadStore

SIZE = 70_000
# Around every size at which a tile becomes full, and some between.
STOPS = [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000, 5000, 65_279, 65_280, 65_281, 65_535, 65_536, 65_537, 65_792,
         69_887, 69_888, SIZE]  # fmt: skip


def entry(index: int) -> bytes:
    return b"entry %d" % index


def root(hashes: list[bytes]) -> bytes:
    """RFC 6962's, level by level."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        hashes = [sha256(b"\1" + a + b).digest() for a, b in pairs] + (hashes[-1:] if len(hashes) % 2 else [])
    return hashes[0]


@cache
def reference() -> dict[tuple[int, int], bytes]:
    """Each tile as wide as it is at the last size, from hashlib alone."""
    hashes, level = [sha256(b"\0" + entry(index)).digest() for index in range(SIZE)], 0
    tiles = {}
    while hashes:
        runs = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        tiles |= {(level, index): b"".join(run) for index, run in enumerate(runs)}
        hashes, level = [root(run) for run in runs if len(run) == 256], level + 1
    return tiles


def tiles_at(size: int) -> dict[tuple[int, int], bytes]:
    """Each tile as wide as it is at a size: hash i of level k is there when all its 256**k entries are."""
    cut = {}
    for (level, index), hashes in reference().items():
        width = min(256, max(0, size // 256**level - 256 * index))
        if width:
            cut[level, index] = hashes[: 32 * width]
    return cut


def test_each_entry_makes_the_tiles_of_the_next_size() -> None:
    edge, stored = Edge(), {}
    for size in range(1, SIZE + 1):
        edge, touched = edge.extend(reference()[0, (size - 1) // 256][(size - 1) % 256 * 32 :][:32])
        stored.update(touched)
        for (level, index), hashes in touched.items():
            width = size // 256**level - 256 * index
            assert hashes == reference()[level, index][: 32 * width], f"tile {level}/{index} at size {size}"
    assert stored == tiles_at(SIZE)


def test_growing_by_any_number_makes_the_same_tiles() -> None:
    edge, stored = Edge(), {}
    for old, size in pairwise(STOPS):
        hashes = b"".join(reference()[0, index] for index in range(old // 256, -(-size // 256)))
        start = old % 256 * 32
        edge, touched = edge.extend(hashes[start : start + (size - old) * 32])
        stored.update(touched)
        assert stored == tiles_at(size), f"from {old} to {size}"


async def test_each_is_stored_and_served_at_the_width_asked(read_store: ReadStore) -> None:
    world = World()
    for old, size in pairwise(STOPS):
        world.append([entry(index) for index in range(old, size)])
        await mirror(read_store, world)
        stored = (await rows(read_store, "tile"))["tile"]
        assert {(level, index): (width, hashes) for _, level, index, width, hashes in stored} == {
            key: (len(hashes) // 32, hashes) for key, hashes in tiles_at(size).items()
        }
    # The tiles that some size up to 70,000 has: each of them in each of its widths.
    asked = [(*key, width) for key, hashes in reference().items() for width in range(1, len(hashes) // 32 + 1)]
    assert len(asked) == SIZE + SIZE // 256 + SIZE // 65_536
    async with served(read_store) as client:
        for at in range(0, len(asked), transport.MAX_TILES_PER_REQUEST):
            part = asked[at : at + transport.MAX_TILES_PER_REQUEST]
            answers = await client.tiles(world.origin, part)
            assert answers == [reference()[level, index][: 32 * width] for level, index, width in part]
