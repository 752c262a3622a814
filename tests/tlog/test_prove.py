"""Proofs from tiles: from those that were asked for, at every size, as the RFC's recursion and pymerkle have them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from mintmark.errors import Malformed
from mintmark.tlog import merkle, prove
from mintmark.tlog.kernel import leaf_hash, node
from mintmark.tlog.tile import tile_width
from tests.support import reference, vectors
from tests.support.tree import Tree, big, entries


def test_every_inclusion_and_consistency_proof_up_to_128() -> None:
    tree = Tree(entries(128))
    for size in range(1, 129):
        d = tree.entries[:size]
        assert tree.root(size) == reference.mth(d)
        for index in range(size):
            assert tree.prove(prove.inclusion_spans(index, size)) == reference.path(index, d)
        for old_size in range(1, size + 1):
            assert tree.prove(prove.consistency_spans(old_size, size)) == reference.proof(old_size, d)


sizes = st.integers(1, 70_000)


@settings(max_examples=150, deadline=None)
@given(sizes, sizes, sizes)
def test_any_subtree_of_any_past_size(start: int, length: int, size: int) -> None:
    """Each tile is cut to what the size needs: what a wider one has behind that changes nothing."""
    length = 1 + length % size
    start = start % size // (ceil := 1 << (length - 1).bit_length()) * ceil
    end = min(start + length, size)
    tree, spans = big(), prove.subtree_spans(start, end, size)
    narrow = {key: tree.tiles[key][: 32 * tile_width(*key, size)] for key in prove.needed(spans)}
    proof = prove.prove(spans, narrow)
    assert proof == tree.prove(spans)
    merkle.check_subtree(start, end, size, tree.prove([(start, end)])[0], tree.root(size), proof)


def test_what_no_tree_has() -> None:
    for spans in (
        lambda: prove.inclusion_spans(5, 5),
        lambda: prove.inclusion_spans(-1, 5),
        lambda: prove.inclusion_spans(0, 0),
        lambda: prove.inclusion_spans(0, 2**63),
        lambda: prove.consistency_spans(6, 5),
        lambda: prove.subtree_spans(1, 3, 5),
        lambda: prove.subtree_spans(2, 2, 5),
    ):
        with pytest.raises(Malformed, match="no subtree"):
            spans()
    with pytest.raises(Malformed, match="no subtree"):
        prove.subtree_root(2, 2, {})


def test_from_the_empty_tree_there_is_nothing_to_prove() -> None:
    assert prove.consistency_spans(0, 0) == prove.consistency_spans(0, 5) == prove.consistency_spans(5, 5) == []


def test_a_tile_that_is_missing_or_too_narrow_is_named() -> None:
    tree, spans = big(), prove.inclusion_spans(300, 70_000)
    for key in prove.needed(spans):
        for spoilt in ({k: v for k, v in tree.tiles.items() if k != key}, {**tree.tiles, key: tree.tiles[key][:32]}):
            with pytest.raises(Malformed, match=f"tile {key[0]}/{key[1]} has fewer"):
                prove.prove(spans, spoilt)


def test_few_tiles_are_needed_even_of_the_largest_log() -> None:
    spans = prove.inclusion_spans(2**62 + 12345, 2**63 - 1)
    assert len(prove.needed(spans)) <= 2 * 8 * 8
    assert len(spans) == 63


def rfc_consistency(theirs: Any, old_size: int) -> list[bytes]:
    """What pymerkle calls so is the entry `old_size` and its inclusion path; one fold makes it the RFC's."""
    left = theirs.subset.index(1)  # the first node of the older tree on that path
    right, *siblings = theirs.path[:left]
    for sibling in siblings:
        right = node(right, sibling)
    seed = [] if old_size & (old_size - 1) == 0 else [theirs.path[left]]
    return [*seed, right, *theirs.path[left + 1 :]]


def test_pymerkle_agrees_on_every_root_and_proof() -> None:
    tree, theirs = Tree(entries(70)), InmemoryTree(algorithm="sha256")
    for size, entry in enumerate(tree.entries, 1):
        theirs.append_entry(entry)
        assert theirs.get_root(size) == tree.root(size)
        for index in range(size):
            leaf, *path = theirs.prove_inclusion(index + 1, size).path
            assert (leaf, path) == (leaf_hash(tree.entries[index]), tree.prove(prove.inclusion_spans(index, size)))
        for old_size in range(1, size):
            proof = tree.prove(prove.consistency_spans(old_size, size))
            assert proof == rfc_consistency(theirs.prove_consistency(old_size, size), old_size)
            merkle.check_consistency(old_size, theirs.get_root(old_size), size, theirs.get_root(size), proof)


def test_pymerkle_agrees_across_tiles() -> None:
    tree, theirs = Tree(entries(1500)), InmemoryTree(algorithm="sha256")
    for entry in tree.entries:
        theirs.append_entry(entry)
    for old_size in (1, 255, 256, 257, 511, 512, 1024, 1100, 1499):
        assert theirs.get_root(old_size) == tree.root(old_size)
        ours = tree.prove(prove.consistency_spans(old_size, 1500))
        assert ours == rfc_consistency(theirs.prove_consistency(old_size, 1500), old_size)
        path = theirs.prove_inclusion(old_size, 1500).path[1:]
        assert path == tree.prove(prove.inclusion_spans(old_size - 1, 1500))


@vectors.needed
def test_a_published_consistency_proof() -> None:
    case = vectors.load("witness/monkeys_consistency.json")
    roots = [vectors.root_of(case[name]) for name in ("checkpoint1", "checkpoint2")]
    proof = [bytes.fromhex(digest) for digest in case["proof_hex"]]
    merkle.check_consistency(case["size1"], roots[0], case["size2"], roots[1], proof)
