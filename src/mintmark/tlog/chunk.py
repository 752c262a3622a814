"""Cutting stored bundles into chunks: valid subtrees of about `CHUNK_BYTES`, each to be sent with its proof.

    plan_chunks ──> [(start, end)]    which subtrees, by the sizes of the bundles
    make_chunk  ──> Chunk             one of them, with its proof

Bytes go on as they are; only the last bundle may be cut, to the size asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.tlog import bundle, merkle
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.trust import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.tlog.merkle import Span
    from mintmark.tlog.trust import Bundle

CHUNK_BYTES = 2**20  # that a chunk aims at; see docs/performance.md
MAX_CHUNK_BUNDLES = 16


def plan_chunks(rows: Sequence[Bundle], start: int, end: int) -> list[Span]:
    """The valid subtrees that cover [start, end), as far as the rows go; the first row begins at `start`."""
    chunks, stop = [], min(end, start + len(rows) * TILE_WIDTH)
    at = start
    while at < stop:
        width = _count_fitting(rows[(at - start) // TILE_WIDTH :]) * TILE_WIDTH
        chunks.append((at, merkle.next_chunk(at, stop, width)))
        at = chunks[-1][1]
    return chunks


def make_chunk(start: int, end: int, rows: Sequence[Bundle], proof: Sequence[bytes]) -> Chunk:
    """The chunk [start, end) out of the rows from `start` on; further rows, and entries from `end` on, are left out."""
    rows = rows[: -(-(end - start) // TILE_WIDTH)]
    entries, items = [row.entries for row in rows], [row.items for row in rows if row.items]
    if (last := (end - start) % TILE_WIDTH) and rows[-1].width != last:
        entries[-1] = bundle.take(entries[-1], last)
        items[-1:] = [bundle.take(part, last) for part in items[-1:]]
    return Chunk(start, end, tuple(entries), tuple(items), tuple(proof))


def count_bytes(rows: Iterable[Bundle]) -> int:
    """The bytes of entries and items in these bundles."""
    return sum(len(row.entries) + len(row.items) for row in rows)


def _count_fitting(rows: Sequence[Bundle]) -> int:
    """How many bundles from the first make one chunk: a power of two, at least one."""
    total = count = 0
    for row in rows[:MAX_CHUNK_BUNDLES]:
        total += len(row.entries) + len(row.items)
        if total > CHUNK_BYTES:
            break
        count += 1
    return 1 << (count.bit_length() - 1) if count else 1
