"""Following one log: accept a checkpoint, verify the entries up to it, write them, show the new head.

    note -> Trusted.accept -> chunks -> Trusted.chunk -> batches -> ReadStore.integrate -> head

The next batch is received and verified while the last one is written. All that a follower remembers between steps is a
copy of what the database says; after any trouble it forgets it and reads again.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import TYPE_CHECKING

from mintmark.errors import Conflict, Malformed, Misconfigured, NotYet, ProofError, Unavailable, Untrusted
from mintmark.mirror.compare import check_known
from mintmark.mirror.project import Counts, Projected, open_chunks
from mintmark.register.chunk import is_of_kind
from mintmark.store.model import Head
from mintmark.store.read_model import Batch, Progress
from mintmark.tlog import tile
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import Trusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from mintmark.mirror.source import Source
    from mintmark.store.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Signer, Verifier
    from mintmark.tlog.trust import VerifiedChunk

COMMIT_ENTRIES, COMMIT_BYTES = 16_384, 8 * 2**20  # a batch ends at the first chunk that reaches either


@dataclass
class _State:
    """What the database says (its size is what was committed), and what has been verified beyond it."""

    progress: Progress
    trusted: Trusted
    counts: Counts


class Follower:
    """One log in one read database. Not for two tasks at once; two workers at once do no harm."""

    def __init__(
        self, store: ReadStore, origin: str, verifiers: Sequence[Verifier], cosigners: Sequence[Signer] = ()
    ) -> None:
        self.store, self.origin = store, origin
        self._verifiers, self._cosigners = verifiers, cosigners
        self._state: _State | None = None

    @property
    def progress(self) -> Progress | None:
        """How far the log is verified, as far as this follower knows; None before it has looked."""
        return self._state.progress if self._state is not None else None

    async def step(self, source: Source, note: bytes, kind: str, deadline: float = float("inf")) -> bool:
        """Goes on towards `note` until it is reached or the (monotonic) deadline passes; True when it is reached.

        Raises Untrusted or Malformed for a source that lies, Conflict where another worker was faster, NotYet for a
        source that is behind, Unavailable, Misconfigured; after any of them, what was written is verified and complete.
        """
        try:
            state = self._state or await self._load(kind)
            self._state = state
            await self._accept(state, source, note)
            return await self._catch_up(state, source, deadline)
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
            counts = await self._counts(progress) if progress.kind == "register" else Counts()
            head = open_checkpoint(progress.note, self.origin, self._verifiers) if progress.note is not None else None
            trusted = Trusted(self.origin, self._verifiers, head, edge)
        except (Untrusted, Malformed) as damage:  # nobody's lie but our own rows
            raise Misconfigured(
                f"our copy of {self.origin} is damaged, or its key was changed: {damage}; run mintmark fsck"
            ) from None
        return _State(progress, trusted, counts)

    async def _counts(self, progress: Progress) -> Counts:
        number, live = await self.store.projected(progress.id, progress.size)
        keys = tile.edge_keys(number)
        return Counts(number, live, Edge.load(number, await self.store.v1_tiles(progress.id, keys)))

    async def _accept(self, state: _State, source: Source, note: bytes) -> None:
        """Moves the trusted head to `note`, or raises. An older head that fits ours is stale, not a lie (NotYet)."""
        seen = open_checkpoint(note, self.origin, self._verifiers)
        trusted = state.trusted.head
        if trusted is None or seen.size == trusted.size:
            state.trusted.accept(note, [])
        elif seen.size > trusted.size:
            state.trusted.accept(note, await source.consistency(self.origin, trusted.size, seen.size))
        else:
            if seen.size <= state.progress.size:
                await check_known(self.store, state.progress, seen)
            raise NotYet(f"{source.address} is behind: {seen.size} entries, {trusted.size} are known")

    async def _catch_up(self, state: _State, source: Source, deadline: float) -> bool:
        head = state.trusted.head
        if head is None:
            raise AssertionError("accept sets a head")
        if state.progress.size == head.size > state.progress.shown:
            await self._commit(state, source, [])
        async with aclosing(self._batches(state.trusted, source, head, deadline)) as batches:  # type: ignore[type-var]  # a generator
            ahead = asyncio.ensure_future(anext(batches, None))
            try:
                while (batch := await ahead) is not None:
                    ahead = asyncio.ensure_future(anext(batches, None))
                    await self._commit(state, source, batch)
            finally:
                ahead.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await ahead
        if state.progress.shown < state.progress.size == head.size:
            lost = await self.store.unexplained(state.progress.id)
            raise NotYet(f"the item of entry {lost} was withheld by {source.address}, and no erasure explains it")
        return state.progress.size == head.size

    async def _batches(
        self, trusted: Trusted, source: Source, head: Checkpoint, deadline: float
    ) -> AsyncIterator[list[VerifiedChunk]]:
        """Batches up to the head, or until the deadline: what has been verified by then is still given, and written."""
        batch: list[VerifiedChunk] = []
        entries = size = 0
        async for chunk in self._verified(trusted, source, head):
            batch.append(chunk)
            entries += chunk.end - chunk.start
            size += sum(len(row.entries) + len(row.items) for row in chunk.bundles)
            late = monotonic() > deadline
            if entries >= COMMIT_ENTRIES or size >= COMMIT_BYTES or chunk.end == head.size or late:
                yield batch
                batch, entries, size = [], 0, 0
                if late:
                    return

    async def _verified(self, trusted: Trusted, source: Source, head: Checkpoint) -> AsyncIterator[VerifiedChunk]:
        if trusted.edge.size == head.size:
            return
        async with aclosing(source.entries(self.origin, trusted.edge.size, head.size, head.size)) as chunks:  # type: ignore[type-var]
            while trusted.edge.size < head.size:
                if (chunk := await anext(chunks, None)) is None:
                    raise Unavailable(f"{source.address} ended at entry {trusted.edge.size} of {head.size}")
                yield trusted.chunk(chunk)

    async def _commit(self, state: _State, source: Source, chunks: list[VerifiedChunk]) -> None:
        pending = state.trusted.head
        if pending is None:
            raise AssertionError("accept sets a head")
        before = state.progress
        if before.size == 0 and chunks:
            _check_kind(before, chunks[0], pending)
        rows = _projected(before, state.counts, chunks, pending) if before.kind == "register" and chunks else None
        size = chunks[-1].end if chunks else before.size
        head = Head(size, pending.root, self._cosigned(pending)) if size == pending.size else None
        batch = Batch(before.id, before.size, chunks, rows, pending.note, pending.size, source.address, head)
        state.progress = replace(before, size=size, note=pending.note, pending=pending.size)
        if await self.store.integrate(batch):
            state.progress = replace(state.progress, shown=size, root=pending.root)
        if rows is not None:
            state.counts = rows.after

    def _cosigned(self, pending: Checkpoint) -> bytes:
        """The note with our cosignatures. They leave in the transaction that makes its last entry durable, never
        before.
        """
        note, now = pending.note, int(time())
        for cosigner in self._cosigners:
            note = cosign(note, cosigner, now)
        return note


def _check_kind(progress: Progress, first: VerifiedChunk, pending: Checkpoint) -> None:
    """The source said which kind of log it is; the first entry proves it."""
    if not is_of_kind(first, progress.kind):
        raise ProofError(f"{progress.origin} was shown as of kind {progress.kind}; its entries are not", pending.note)


def _projected(progress: Progress, before: Counts, chunks: list[VerifiedChunk], pending: Checkpoint) -> Projected:
    try:
        return Projected(progress.id, before, open_chunks(chunks))
    except ProofError as lie:
        raise ProofError(str(lie), pending.note) from lie
