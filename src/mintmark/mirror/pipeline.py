"""From a source into the database: a batch is verified as it comes, while those before it are committed.

    Source.entries ── LogVerifier.chunk, Format.open_chunk ──> VerifiedBatch    `verify_batches`
    Batch ── ReadStore.commit_batch ──> Committed                               `CommitPipeline`

Verifying is done in a thread, where there is enough of it: a database is kept busy only by a loop that is free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError, ProofError, Unavailable
from mintmark.formats import FORMATS
from mintmark.tlog.chunk import count_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from mintmark.formats import LogKind
    from mintmark.register.entry import Row
    from mintmark.sources.source import Source
    from mintmark.store.mirror.model import Batch, Committed
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import Chunk, LogVerifier, VerifiedChunk

BATCH_ENTRIES, BATCH_BYTES = 16_384, 8 * 2**20  # a batch ends at the first chunk that reaches either
MAX_INLINE_ENTRIES = 64  # that are verified sooner than a thread takes over
MAX_TRANSACTIONS = 3  # of one log at once
MAX_GATE_SECONDS = 0.1  # that a batch waits for short steps


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """Verified chunks that follow one another, and the rows of their entries; `full`: as many as a batch holds."""

    chunks: list[VerifiedChunk] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    full: bool = False


async def verify_batches(
    verifier: LogVerifier, source: Source, head: Checkpoint, kind: LogKind, deadline: float
) -> AsyncGenerator[VerifiedBatch, None]:
    """Batches up to the head, or until the deadline (monotonic): what is verified by then is the last batch.

    Raises Malformed; ProofError, with the head's note; Unavailable where the source ends before the head. What it sent
    until then is proven, and is the last batch.
    """
    chunks: list[VerifiedChunk] = []
    rows: list[Row] = []
    size = 0
    async with aclosing(_receive(verifier, source, head)) as received:
        while True:
            try:
                chunk = await anext(received, None)
            except MintmarkError:
                if chunks:
                    yield VerifiedBatch(chunks, rows)
                raise
            if chunk is None:
                return
            verified, opened = await _verify(verifier, chunk, kind, head)
            chunks.append(verified)
            rows += opened
            size += count_bytes(verified.bundles)
            full = verified.end - chunks[0].start >= BATCH_ENTRIES or size >= BATCH_BYTES
            late = monotonic() > deadline
            if full or late or verified.end == head.size:
                yield VerifiedBatch(chunks, rows, full)
                chunks, rows, size = [], [], 0
            if late:
                return


async def _receive(verifier: LogVerifier, source: Source, head: Checkpoint) -> AsyncGenerator[Chunk, None]:
    """The source's chunks, until all of the head's entries are verified."""
    if verifier.edge.size == head.size:
        return
    async with aclosing(source.entries(verifier.origin, verifier.edge.size, head.size, head.size)) as chunks:  # type: ignore[type-var]  # a generator
        while verifier.edge.size < head.size:
            if (chunk := await anext(chunks, None)) is None:
                raise Unavailable(f"{source.address} ended at entry {verifier.edge.size} of {head.size}")
            yield chunk


async def _verify(
    verifier: LogVerifier, chunk: Chunk, kind: LogKind, head: Checkpoint
) -> tuple[VerifiedChunk, Sequence[Row]]:
    if chunk.end - chunk.start <= MAX_INLINE_ENTRIES:
        return _verify_now(verifier, chunk, kind, head)
    return await asyncio.to_thread(_verify_now, verifier, chunk, kind, head)


def _verify_now(
    verifier: LogVerifier, received: Chunk, kind: LogKind, head: Checkpoint
) -> tuple[VerifiedChunk, Sequence[Row]]:
    chunk, format_ = verifier.chunk(received), FORMATS[kind]
    try:
        if chunk.start == 0 and not format_.begins_with(chunk.bundles[0].entries):
            raise ProofError(f"{verifier.origin} was shown as of kind {kind}; its entries are not")
        return chunk, format_.open_chunk(chunk)
    except ProofError as lie:
        raise ProofError(str(lie), head.note) from lie


class CommitPipeline:
    """The open transactions of one log, oldest first: the rows of one are sent while the one before is committed.

    `async with`: at its end they are committed, and a source's trouble changes nothing of that, for all of it was
    verified. They are rolled back where one of them failed, and where the block was cancelled.
    """

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self._open: deque[asyncio.Task[Committed]] = deque()
        self._failed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._failed or (error is not None and not isinstance(error, Exception)):
            for task in self._open:
                task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def put(self, batch: Batch) -> None:
        """Begins to write a batch, once there is room. Raises what `ReadStore.commit_batch` does, of a batch before."""
        while len(self._open) >= MAX_TRANSACTIONS:
            await self._end_first()
        before = self._open[-1] if self._open else None
        self._open.append(asyncio.create_task(self._store.commit_batch(batch, before)))

    async def finish(self) -> Committed | None:
        """Waits until all is committed; the last commit, None where there was none to wait for."""
        last: Committed | None = None
        while self._open:
            last = await self._end_first()
        return last

    async def _end_first(self) -> Committed:
        task = self._open[0]
        try:
            return await task
        except Exception:
            self._failed = True
            raise
        finally:
            self._open.popleft()


class ForegroundGate:
    """Lets short steps of a worker's logs go first: a long catch-up waits before each batch while one is under way."""

    def __init__(self) -> None:
        self._steps = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def step(self) -> Iterator[None]:
        """A short step, for the time of the block."""
        self._steps += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._steps -= 1
            if self._steps == 0:
                self._idle.set()

    async def wait(self) -> bool:
        """Waits until no short step is under way, `MAX_GATE_SECONDS` at most; True if none is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_GATE_SECONDS):
                await self._idle.wait()
        return self._idle.is_set()
