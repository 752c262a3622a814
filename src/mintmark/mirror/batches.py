"""What a source sends, verified and gathered into batches: each is what one transaction writes.

The work is done in a thread, where there is enough of it: a database is kept busy only by a loop that is not.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.errors import ProofError, Unavailable
from mintmark.register.chunk import is_of_kind, open_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mintmark.register.entry import Row
    from mintmark.sources.source import Source
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import Chunk, LogVerifier, VerifiedChunk

COMMIT_ENTRIES, COMMIT_BYTES = 16_384, 8 * 2**20  # a batch ends at the first chunk that reaches either
INLINE = 64  # entries that are verified sooner than a thread takes over


@dataclass
class VerifiedBatch:
    """Verified chunks that follow one another, and the entries of a register that they hold."""

    chunks: list[VerifiedChunk] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    size: int = 0  # bytes

    def add(self, chunk: VerifiedChunk, rows: list[Row]) -> None:
        """Adds the next chunk."""
        self.chunks.append(chunk)
        self.rows += rows
        self.size += sum(len(row.entries) + len(row.items) for row in chunk.bundles)

    @property
    def full(self) -> bool:
        """Whether it is enough for one transaction."""
        return self.chunks[-1].end - self.chunks[0].start >= COMMIT_ENTRIES or self.size >= COMMIT_BYTES


async def batches(
    trusted: LogVerifier, source: Source, head: Checkpoint, kind: str, deadline: float
) -> AsyncGenerator[VerifiedBatch, None]:
    """Batches up to the head, or until the deadline: what has been verified by then is still given, to be written."""
    batch = VerifiedBatch()
    async with aclosing(_chunks(trusted, source, head)) as chunks:
        async for chunk in chunks:
            if chunk.end - chunk.start <= INLINE:
                verified, rows = _verify(trusted, chunk, kind, head)
            else:
                verified, rows = await asyncio.to_thread(_verify, trusted, chunk, kind, head)
            batch.add(verified, rows)
            late = monotonic() > deadline
            if batch.full or verified.end == head.size or late:
                yield batch
                if late:
                    return
                batch = VerifiedBatch()


async def _chunks(trusted: LogVerifier, source: Source, head: Checkpoint) -> AsyncGenerator[Chunk, None]:
    """What the source sends, until all of it is verified."""
    if trusted.edge.size == head.size:
        return
    async with aclosing(source.entries(trusted.origin, trusted.edge.size, head.size, head.size)) as chunks:  # type: ignore[type-var]  # a generator
        while trusted.edge.size < head.size:
            if (chunk := await anext(chunks, None)) is None:
                raise Unavailable(f"{source.address} ended at entry {trusted.edge.size} of {head.size}")
            yield chunk


def _verify(trusted: LogVerifier, received: Chunk, kind: str, head: Checkpoint) -> tuple[VerifiedChunk, list[Row]]:
    """A chunk, verified, and its entries. Raises Malformed; ProofError, with the note that it does not fit."""
    chunk = trusted.chunk(received)
    try:
        if chunk.start == 0 and not is_of_kind(chunk, kind):
            raise ProofError(f"{trusted.origin} was shown as of kind {kind}; its entries are not")
        return chunk, open_chunk(chunk) if kind == "register" else []
    except ProofError as lie:
        raise ProofError(str(lie), head.note) from lie
