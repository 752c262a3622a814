"""The right edge: roots and tiles against the recursion, however the entries are batched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.tile import edge_keys, tile_width
from tests.support import reference
from tests.support.tree import Tree, big, entries

BOUNDARIES = [1, 2, 255, 256, 257, 511, 512, 65_279, 65_280, 65_535, 65_536, 65_537, 65_792, 69_999, 70_000]


def test_the_empty_tree() -> None:
    assert Edge().root() == EMPTY_ROOT
    assert Edge().extend(b"") == (Edge(), {})
    assert Edge.load(0, {}) == Edge()


def test_one_entry_at_a_time() -> None:
    d, edge, tiles = tuple(entries(600)), Edge(), {}
    for size in range(1, 601):
        edge, touched = edge.extend(Tree(d[size - 1 : size]).hashes)
        tiles.update(touched)
        assert edge.size == size
        assert edge.root() == reference.mth(d[:size])
        assert edge == Edge.load(size, tiles)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 70_000), max_size=8))
def test_batches_may_be_cut_anywhere(cuts: list[int]) -> None:
    tree, edge, tiles = big(), Edge(), {}
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 70_000], strict=True):
        edge, touched = edge.extend(tree.hashes[start * 32 : end * 32])
        assert all(len(hashes) == 32 * tile_width(*key, end) for key, hashes in touched.items())
        tiles.update(touched)
        assert edge == Edge.load(end, tree.tiles)
    assert (edge, tiles) == (tree.edge, tree.tiles)


def test_an_edge_is_a_value() -> None:
    tree = Tree(entries(300))
    before, _ = Edge().extend(tree.hashes[:8000])
    kept = Edge(before.size, before.tiles)
    before.extend(tree.hashes[8000:])
    assert before == kept


def test_every_tile_of_a_big_tree() -> None:
    tree = big()
    shape = {(level, index) for level in range(3) for index in range(-(-(70_000 // 256**level) // 256))}
    assert tree.tiles.keys() == shape
    for (level, index), hashes in tree.tiles.items():
        assert hashes == reference.tile(level, index, tree.entries)


@pytest.mark.parametrize("size", BOUNDARIES)
def test_the_unfinished_tiles_of_a_past_size(size: int) -> None:
    tree, d = big(), big().entries[:size]
    edge = Edge.load(size, tree.tiles)
    assert edge.root() == reference.mth(d)
    assert {key: edge.tiles[key[0]] for key in edge_keys(size)} == {
        key: reference.tile(*key, d) for key in edge_keys(size)
    }
    assert edge == Edge().extend(tree.hashes[: size * 32])[0]


@pytest.mark.parametrize("size", [-1, 2**63])
def test_no_log_has_this_size(size: int) -> None:
    with pytest.raises(Malformed, match="size"):
        Edge.load(size, {})


def test_a_tile_that_is_missing_or_too_narrow() -> None:
    tree = Tree(entries(300))
    for spoilt in ({}, {**tree.tiles, (0, 1): b""}, {**tree.tiles, (0, 1): tree.tiles[0, 1][:-1]}):
        with pytest.raises(Malformed, match="tile 0/1"):
            Edge.load(300, spoilt)


def test_hashes_that_cannot_follow() -> None:
    with pytest.raises(Malformed):
        Edge().extend(bytes(33))
    full = Edge.load(2**63 - 1, {key: bytes(32 * tile_width(*key, 2**63 - 1)) for key in edge_keys(2**63 - 1)})
    with pytest.raises(Malformed, match="cannot follow"):
        full.extend(bytes(32))
