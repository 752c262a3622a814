"""Bundles cut into chunks: valid subtrees that cover the range, none much larger than it should be."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mintmark.tlog import bundle
from mintmark.tlog.chunk import CHUNK_BYTES, MAX_CHUNK_BUNDLES, count_bytes, make_chunk, plan_chunks
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.merkle import valid_subtree
from mintmark.tlog.trust import Bundle


def rows(size: int, length: int = 4, first: int = 0, items: bool = False) -> list[Bundle]:
    """The bundles from number `first` on of a log of `size` entries, each of so many bytes."""
    made = []
    for index in range(first, -(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        entries = bundle.join([bytes(length)] * width)
        made.append(Bundle(index, width, entries, entries if items else b""))
    return made


@pytest.mark.parametrize("first", [0, 1, 3, 8])
@pytest.mark.parametrize("end", [2100, 2304, 8191, 8192])
@pytest.mark.parametrize("length", [4, 2_000, 60_000])
def test_chunks_are_valid_subtrees_that_cover_the_range(first: int, end: int, length: int) -> None:
    start = first * TILE_WIDTH
    read = rows(end, length, first)
    spans = plan_chunks(read, start, end)
    assert (spans[0][0], spans[-1][1]) == (start, end)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    for low, high in spans:
        part = read[(low - start) // TILE_WIDTH : -(-(high - start) // TILE_WIDTH)]
        assert valid_subtree(low, high)
        assert len(part) <= MAX_CHUNK_BUNDLES
        assert len(part) == 1 or count_bytes(part) <= CHUNK_BYTES


def test_no_more_is_planned_than_was_read() -> None:
    assert plan_chunks(rows(512), 0, 5000)[-1][1] == 512


@pytest.mark.parametrize("items", [False, True])
def test_the_last_bundle_is_cut_to_the_size(items: bool) -> None:
    chunk = make_chunk(256, 600, rows(1024, first=1, items=items), [b"proof"])
    assert [bundle.count_entries(entries) for entries in chunk.entries] == [256, 88]
    assert chunk.items == (chunk.entries if items else ())
    assert (chunk.start, chunk.end, chunk.proof) == (256, 600, (b"proof",))
