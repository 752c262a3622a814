"""Following one log: accept a checkpoint, verify the entries up to it, write them, show the new head.

    note -> LogVerifier.accept -> chunks -> LogVerifier.chunk -> batches -> ReadStore.commit_batch -> head

The next batch is received and verified while those before it are written. All that a follower remembers between steps
is a copy of what the database says; after any trouble it forgets it and reads again.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from time import time
from typing import TYPE_CHECKING

from mintmark.aio import prefetch
from mintmark.errors import Conflict, Malformed, Misconfigured, NotAvailableYet, Untrusted
from mintmark.mirror.batches import VerifiedBatch, batches
from mintmark.mirror.consistency import check_known
from mintmark.mirror.pipeline import CommitPipeline
from mintmark.register.reduce import BatchProjection, RunningCounts
from mintmark.store.log.model import Head
from mintmark.store.mirror.model import Batch, Progress
from mintmark.tlog import tile
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from mintmark.mirror.priority import ForegroundGate
    from mintmark.sources.source import Source
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Signer, Verifier


@dataclass
class _State:
    """What the database says once all that is on its way is committed, and what has been verified beyond it."""

    progress: Progress
    trusted: LogVerifier
    counts: RunningCounts | BatchProjection


class CatchUp:
    """One log in one read database. Not for two tasks at once; two workers at once do no harm."""

    def __init__(
        self,
        store: ReadStore,
        origin: str,
        verifiers: Sequence[Verifier],
        cosigners: Sequence[Signer] = (),
        lull: ForegroundGate | None = None,
    ) -> None:
        self.store, self.origin = store, origin
        self._verifiers, self._cosigners, self._lull = verifiers, cosigners, lull
        self._state: _State | None = None

    @property
    def progress(self) -> Progress | None:
        """How far the log is verified, as far as this follower knows; None before it has looked."""
        return self._state.progress if self._state is not None else None

    async def step(self, source: Source, note: bytes, kind: str, deadline: float = float("inf")) -> bool:
        """Goes on towards `note` until it is reached or the (monotonic) deadline passes; True when it is reached.

        Raises Untrusted or Malformed for a source that lies, Conflict where another worker was faster,
        NotAvailableYet for a source that is behind, Unavailable, Misconfigured. After any of them, what was written is
        verified and complete.
        """
        try:
            state = self._state or await self._load(kind)
            self._state = state
            head = await self._accept(state, source, note)
            return await self._catch_up(state, source, head, deadline)
        except BaseException:
            self._state = None
            raise

    async def _load(self, kind: str) -> _State:
        """What the database says. The stored note is opened again: nothing is trusted because we wrote it."""
        progress = await self.store.follow(self.origin, kind)
        if progress.stopped is not None:
            raise Conflict(f"{self.origin} is stopped: {progress.stopped}")
        try:
            edge = await self.store.edge(progress.id, progress.size)
            counts = await self._counts(progress) if progress.kind == "register" else RunningCounts()
            head = open_checkpoint(progress.note, self.origin, self._verifiers) if progress.note is not None else None
            trusted = LogVerifier(self.origin, self._verifiers, head, edge)
        except (Untrusted, Malformed) as damage:  # nobody's lie but our own rows
            raise Misconfigured(
                f"our copy of {self.origin} is damaged, or its key was changed: {damage}; run mintmark fsck"
            ) from None
        return _State(progress, trusted, counts)

    async def _counts(self, progress: Progress) -> RunningCounts:
        number, live = await self.store.projected(progress.id, progress.size)
        keys = tile.edge_keys(number)
        return RunningCounts(number, live, Edge.load(number, await self.store.v1_tiles(progress.id, keys)))

    async def _accept(self, state: _State, source: Source, note: bytes) -> Checkpoint:
        """Moves the trusted head to `note`. Raises NotAvailableYet for an older head that fits: stale, not a lie."""
        seen = open_checkpoint(note, self.origin, self._verifiers)
        trusted = state.trusted.head
        if trusted is None or seen.size == trusted.size:
            return state.trusted.accept(note, [])
        if seen.size > trusted.size:
            return state.trusted.accept(note, await source.consistency(self.origin, trusted.size, seen.size))
        if seen.size <= state.progress.size:
            await check_known(self.store, state.progress, seen)
        raise NotAvailableYet(f"{source.address} is behind: {seen.size} entries, {trusted.size} are known")

    async def _catch_up(self, state: _State, source: Source, head: Checkpoint, deadline: float) -> bool:
        async with CommitPipeline(self.store) as writing:
            if state.progress.size == head.size > state.progress.shown:
                await writing.put(self._next(state, source, head, VerifiedBatch()))
            found = batches(state.trusted, source, head, state.progress.kind, deadline)
            await self._write(state, source, head, writing, found)
            shown = await writing.finish()
            if isinstance(state.counts, BatchProjection):
                state.counts = state.counts.after  # its rows are not held
            if shown:
                state.progress = replace(state.progress, shown=state.progress.size, root=head.root)
        if state.progress.shown < state.progress.size == head.size:
            lost = await self.store.unexplained(state.progress.id)
            raise NotAvailableYet(
                f"the item of entry {lost} was withheld by {source.address}, and no erasure explains it"
            )
        return state.progress.size == head.size

    async def _write(
        self,
        state: _State,
        source: Source,
        head: Checkpoint,
        writing: CommitPipeline,
        verified: AsyncGenerator[VerifiedBatch, None],
    ) -> None:
        """Writes batches while the next one is received and verified."""
        async with aclosing(prefetch(verified)) as received:
            async for batch in received:
                if self._lull is not None and batch.full and not await self._lull.wait():
                    await writing.finish()  # beside short steps one transaction at a time
                await writing.put(self._next(state, source, head, batch))

    def _next(self, state: _State, source: Source, pending: Checkpoint, verified: VerifiedBatch) -> Batch:
        """The next batch to write; from then on `state` is what the database will say."""
        before, chunks, rows = state.progress, verified.chunks, None
        if before.kind == "register" and chunks:
            rows = state.counts = BatchProjection(before.id, state.counts, verified.rows)
        size = chunks[-1].end if chunks else before.size
        head = Head(size, pending.root, self._cosigned(pending)) if size == pending.size else None
        state.progress = replace(before, size=size, note=pending.note, pending=pending.size)
        return Batch(before.id, before.size, chunks, rows, pending.note, pending.size, source.address, head)

    def _cosigned(self, pending: Checkpoint) -> bytes:
        """The note with our cosignatures. They leave in the transaction that makes its last entry durable, never
        before.
        """
        note, now = pending.note, int(time())
        for cosigner in self._cosigners:
            note = cosign(note, cosigner, now)
        return note
