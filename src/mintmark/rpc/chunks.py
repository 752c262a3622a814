"""Cutting a stored log into chunks: bundles of one read, valid subtrees of about `limits.CHUNK` bytes, their proofs.

Plan, read once, finish: the proofs of all chunks that one query of bundles gives are planned together and their tiles
read in one query. Bytes go on as they are; only the last bundle may be cut to the size asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mintmark.rpc import limits
from mintmark.tlog import bundle, merkle, prove
from mintmark.tlog.kernel import WIDTH
from mintmark.tlog.trust import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from mintmark.tlog.trust import Bundle


class BundleReader(Protocol):
    """Where the rows of a log are read, each batch in one query."""

    async def tiles(self, log: int, keys: Collection[tuple[int, int]], size: int) -> dict[tuple[int, int], bytes]:
        """The hashes of these tiles, as wide as a tree of `size` has them, or wider."""

    async def bundles(self, log: int, first: int, stop: int, most: int) -> list[Bundle]:
        """Bundles [first, stop): as many as fit in `most` bytes, one at least."""


async def read(
    rows: BundleReader, log: int, at: int, end: int, size: int, most: Callable[[], int]
) -> AsyncGenerator[Chunk, None]:
    """The chunks of [at, end) with their proofs against `size`; `at` is a multiple of 256.

    `most` says before each read how many bytes it may bring.
    """
    while at < end:
        found = await rows.bundles(log, at // WIDTH, -(-end // WIDTH), most())
        spans = plan(found, at, end)
        plans = [prove.subtree_spans(lo, hi, size) for lo, hi in spans]
        tiles = await rows.tiles(log, prove.needed([span for proof in plans for span in proof]), size)
        for (lo, hi), proof in zip(spans, plans, strict=True):
            yield make(lo, hi, found[(lo - at) // WIDTH :], prove.prove(proof, tiles))
        at = spans[-1][1]


def plan(rows: Sequence[Bundle], at: int, end: int) -> list[tuple[int, int]]:
    """Cuts the rows from `at` on, up to `end`, into valid subtrees of about `limits.CHUNK` bytes."""
    chunks, stop = [], min(end, at + len(rows) * WIDTH)
    first = at
    while at < stop:
        most = _fitting(rows[(at - first) // WIDTH :])
        chunks.append((at, min(stop, merkle.next_chunk(at, stop, most * WIDTH))))
        at = chunks[-1][1]
    return chunks


def make(start: int, end: int, rows: Sequence[Bundle], proof: Sequence[bytes]) -> Chunk:
    """The chunk [start, end) of the rows from `start` on, which may be more and wider."""
    rows = rows[: -(-(end - start) // WIDTH)]
    entries, items = [row.entries for row in rows], [row.items for row in rows if row.items]
    if (last := (end - start) % WIDTH) and rows[-1].width != last:
        entries[-1] = bundle.take(entries[-1], last)
        items[-1:] = [bundle.take(part, last) for part in items[-1:]]
    return Chunk(start, end, tuple(entries), tuple(items), tuple(proof))


def _fitting(rows: Sequence[Bundle]) -> int:
    """How many bundles from the first make one message: a power of two, at least one."""
    total = count = 0
    for row in rows[: limits.CHUNK_BUNDLES]:
        total += len(row.entries) + len(row.items)
        if total > limits.CHUNK:
            break
        count += 1
    return 1 << (count.bit_length() - 1) if count else 1
