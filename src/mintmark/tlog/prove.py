"""Proofs from tiles: plan the spans, read the tiles that they need in one query, finish purely.

    tiles = read(needed(spans := inclusion_spans(index, size)))
    proof = prove(spans, tiles)

Any tile may be wider than the size asks for, because a narrower tile is its prefix: every past size is provable from
today's tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.tlog.kernel import HASH_BYTES, MAX_SIZE, TILE_WIDTH, fold, node
from mintmark.tlog.merkle import Span, proof_spans, valid_subtree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mintmark.tlog.tile import Key


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The proof that the entry at `index` is part of the tree of `size`. Raises Malformed outside of it."""
    return subtree_spans(index, index + 1, size)


def consistency_spans(old_size: int, size: int) -> list[Span]:
    """The proof that the tree of `size` begins with that of `old_size`: none from 0. Raises Malformed beyond it."""
    return subtree_spans(0, old_size, size) if old_size else []


def subtree_spans(start: int, end: int, size: int) -> list[Span]:
    """The proof that the subtree [start, end) is part of the tree of `size`. Raises Malformed if it is none."""
    if not (valid_subtree(start, end) and end <= size <= MAX_SIZE):
        raise Malformed(f"[{start}, {end}) is no subtree of a tree of {size}")
    return proof_spans(start, end, size)


def needed(spans: Iterable[Span]) -> set[Key]:
    """The tiles that hold the hashes of these spans."""
    return {_address(*piece)[0] for span in spans for piece in _pieces(*span)}


def prove(spans: Iterable[Span], tiles: Mapping[Key, bytes]) -> list[bytes]:
    """The roots of these spans, in order, from at least the tiles of `needed(spans)`. Raises as `subtree_root` does."""
    return [subtree_root(start, end, tiles) for start, end in spans]


def subtree_root(start: int, end: int, tiles: Mapping[Key, bytes]) -> bytes:
    """The root of the subtree [start, end).

    Raises:
        Malformed: it is empty, or a tile is missing or too narrow.
    """
    hashes = [_hash(level, index, tiles) for level, index in _pieces(start, end)]
    if not hashes:
        raise Malformed(f"[{start}, {end}) is no subtree")
    root = hashes.pop()
    while hashes:
        root = node(hashes.pop(), root)
    return root


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The perfect subtrees that make up [start, end), left to right: number `index` of those of 2^level entries."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def _address(level: int, index: int) -> tuple[Key, int, int]:
    """The place of the hashes below a perfect subtree: their tile, the first of them in it, and their number."""
    count = 1 << level % 8
    first = index * count
    return (level // 8, first // TILE_WIDTH), first % TILE_WIDTH, count


def _hash(level: int, index: int, tiles: Mapping[Key, bytes]) -> bytes:
    key, first, count = _address(level, index)
    hashes = tiles.get(key, b"")[first * HASH_BYTES : (first + count) * HASH_BYTES]
    if len(hashes) != count * HASH_BYTES:
        raise Malformed(f"tile {key[0]}/{key[1]} has fewer than the {first + count} hashes that the proof needs")
    return fold(hashes)
