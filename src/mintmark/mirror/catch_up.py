"""Bringing one log up to a head: accept the checkpoint, verify the entries up to it, write them, show the head.

    note ── LogVerifier.accept ──> head      `_accept`
    verified batch ── project ──> Batch      `_next`, written by the pipeline

The next batch is received and verified while those before it are written. All that is remembered between steps is a
copy of what the database says; after any trouble it is forgotten and read again.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from time import time
from typing import TYPE_CHECKING

from mintmark.aio import prefetch
from mintmark.errors import Conflict, Malformed, Misconfigured, NotAvailableYet, Untrusted
from mintmark.mirror.consistency import check_known
from mintmark.mirror.pipeline import CommitPipeline, VerifiedBatch, verify_batches
from mintmark.mirror.withheld import keeps_head_back
from mintmark.register.reduce import RunningCounts, project
from mintmark.store.log.model import Head
from mintmark.store.mirror.model import Batch, Progress
from mintmark.tlog import tile
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.formats import LogKind
    from mintmark.mirror.pipeline import ForegroundGate
    from mintmark.sources.source import Source
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Signer, Verifier


SETTLE_ENTRIES = 10_000  # of a catch-up, after which the database is settled


@dataclass
class _State:
    """The database as it is once all batches on their way are committed, and what has been verified beyond it.

    `live` and `v1` are a register's counts; `live` is None while a commit on its way is still to say it.
    """

    progress: Progress
    verifier: LogVerifier
    live: int | None
    v1: Edge


class CatchUp:
    """One log in one read database. Not for two tasks at once; two workers at once do no harm."""

    def __init__(
        self,
        store: ReadStore,
        origin: str,
        verifiers: Sequence[Verifier],
        cosigners: Sequence[Signer] = (),
        gate: ForegroundGate | None = None,
    ) -> None:
        self.store, self.origin = store, origin
        self._verifiers, self._cosigners, self._gate = verifiers, cosigners, gate
        self._state: _State | None = None
        self._written = 0  # entries, since the log was last at a head

    @property
    def progress(self) -> Progress | None:
        """How far the log is verified, as the last step left it; None where the next step will read it."""
        return self._state.progress if self._state is not None else None

    def trust(self, verifiers: Sequence[Verifier]) -> None:
        """Takes other keys of the log."""
        self._verifiers = verifiers
        self.forget()

    def forget(self) -> None:
        """Has the next step read the database: another worker may have written to it."""
        self._state = None

    async def step(self, source: Source, note: bytes, kind: LogKind, deadline: float = float("inf")) -> bool:
        """Goes on towards `note` until it is reached or the (monotonic) deadline passes; True when it is reached.

        Raises Untrusted or Malformed for a source that lies, Conflict where another worker was faster,
        NotAvailableYet for a source that is behind, Unavailable, Misconfigured. After any of them, what was written is
        verified and complete.
        """
        try:
            state = await self._load(kind)
            head = await self._accept(state, source, note)
            return await self._catch_up(state, source, head, deadline)
        except BaseException:
            self.forget()
            raise

    async def show(self, source: str) -> bool:
        """Shows the verified head, if nothing keeps it back any more, thanks to a source; True if it is shown."""
        try:
            state = await self._load()
            if (head := state.verifier.head) is not None and keeps_head_back(state.progress):
                async with CommitPipeline(self.store) as pipeline:
                    await pipeline.put(self._next(state, source, head, VerifiedBatch()))
                    await _settle(state, pipeline, head)
            return not keeps_head_back(state.progress)
        except BaseException:
            self.forget()
            raise

    async def _load(self, kind: LogKind | None = None) -> _State:
        """The state of the log. `kind` is a source's word for an empty one, and may differ from the last source's."""
        state = self._state
        if state is None or (state.progress.size == 0 and kind not in (None, state.progress.kind)):
            state = self._state = await self._read(kind)
        return state

    async def _read(self, kind: LogKind | None) -> _State:
        """Reads the state of the database. The stored note is opened again: nothing is trusted because we wrote it."""
        follow = self.store.progress(self.origin) if kind is None else self.store.follow(self.origin, kind)
        progress = await follow
        if progress.stopped is not None:
            raise Conflict(f"{self.origin} is stopped: {progress.stopped}")
        try:
            edge = await self.store.edge(progress.id, progress.size)
            counts = await self._load_counts(progress) if progress.kind == "register" else RunningCounts()
            head = open_checkpoint(progress.note, self.origin, self._verifiers) if progress.note is not None else None
            verifier = LogVerifier(self.origin, self._verifiers, head, edge)
        except (Untrusted, Malformed) as damage:  # nobody's lie but our own rows
            raise Misconfigured(
                f"our copy of {self.origin} is damaged, or its key was changed: {damage}; run mintmark fsck"
            ) from None
        return _State(progress, verifier, counts.live, counts.v1)

    async def _load_counts(self, progress: Progress) -> RunningCounts:
        number, live = await self.store.projected(progress.id, progress.size)
        keys = tile.edge_keys(number)
        return RunningCounts(live, Edge.load(number, await self.store.v1_tiles(progress.id, keys)))

    async def _accept(self, state: _State, source: Source, note: bytes) -> Checkpoint:
        """Moves the accepted head to `note`. Raises NotAvailableYet for an older head that fits: stale, not a lie."""
        seen = open_checkpoint(note, self.origin, self._verifiers)
        known = state.verifier.head
        if known is None or seen.size == known.size:
            return state.verifier.accept(note, [])
        if seen.size > known.size:
            return state.verifier.accept(note, await source.consistency(self.origin, known.size, seen.size))
        if seen.size <= state.progress.size:
            await check_known(self.store, state.progress, seen)
        raise NotAvailableYet(f"{source.address} is behind: {seen.size} entries, {known.size} are known")

    async def _catch_up(self, state: _State, source: Source, head: Checkpoint, deadline: float) -> bool:
        async with CommitPipeline(self.store) as pipeline:
            if state.progress.size == head.size > state.progress.shown:
                await pipeline.put(self._next(state, source.address, head, VerifiedBatch()))
            await self._write(state, source, head, pipeline, deadline)
            await _settle(state, pipeline, head)
        if state.progress.shown < state.progress.size == head.size:
            item = await self.store.withheld.first(state.progress.id)
            raise NotAvailableYet(f"{item or 'an item was withheld'}, and no erasure explains it")
        if state.progress.size < head.size:
            return False
        written, self._written = self._written, 0
        if written >= SETTLE_ENTRIES:
            self.store.settler.start()
        return True

    async def _write(
        self, state: _State, source: Source, head: Checkpoint, pipeline: CommitPipeline, deadline: float
    ) -> None:
        """Writes batches while the next one is received and verified."""
        batches = verify_batches(state.verifier, source, head, state.progress.kind, deadline)
        async with aclosing(prefetch(batches)) as received:
            async for batch in received:
                if self._gate is not None and batch.full and not await self._gate.wait():
                    await _settle(state, pipeline, head)  # beside short steps one transaction at a time
                await pipeline.put(self._next(state, source.address, head, batch))

    def _next(self, state: _State, source: str, pending: Checkpoint, verified: VerifiedBatch) -> Batch:
        """The next batch to write; from then on `state` is what the database will say."""
        before, chunks, live = state.progress, verified.chunks, state.live
        rows = project(state.v1, verified.rows) if before.kind == "register" and chunks else None
        if rows is not None:
            state.live, state.v1 = None, rows.v1
        size = chunks[-1].end if chunks else before.size
        self._written += size - before.size
        head = Head(size, pending.root, self._cosigned(pending)) if size == pending.size else None
        state.progress = replace(before, size=size, note=pending.note, pending=pending.size)
        return Batch(before.id, before.size, chunks, rows, live, pending.note, pending.size, source, head)

    def _cosigned(self, pending: Checkpoint) -> bytes:
        """The note with our cosignatures.

        They leave in the transaction that makes its last entry durable, never before.
        """
        note, now = pending.note, int(time())
        for cosigner in self._cosigners:
            note = cosign(note, cosigner, now)
        return note


async def _settle(state: _State, pipeline: CommitPipeline, head: Checkpoint) -> None:
    """Waits until all batches are committed, and takes what only the commits know."""
    if (committed := await pipeline.finish()) is not None:
        state.live = committed.live
        if committed.shown:
            state.progress = replace(state.progress, shown=state.progress.size, root=head.root)
