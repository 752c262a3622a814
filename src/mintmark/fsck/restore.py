"""Bundles from a source, in the place of damaged ones. The source is not trusted: `LogVerifier` proves each chunk.

Where the source does not send an item, ours stays if its entry binds it. An item that an entry erases stays erased,
whatever the source sends.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError, Unavailable
from mintmark.formats.register import open_chunk
from mintmark.register.item import item_hash
from mintmark.sources.source import edge_at
from mintmark.tlog import bundle
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence

    from mintmark.fsck.check import CheckResult
    from mintmark.register.entry import Row
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.trust import Bundle, VerifiedChunk


async def restore_bundles(
    store: FsckStore, found: CheckResult, source: GrpcSource, head: Checkpoint, verifiers: Sequence[Verifier]
) -> AsyncGenerator[Bundle, None]:
    """The right bundles in the place of the damaged ones. Raises ProofError where the source's are wrong too."""
    for first, last in _runs(found.bundles | found.items):
        end = min((last + 1) * TILE_WIDTH, found.size)
        trusted = LogVerifier(head.origin, verifiers, head, await edge_at(source, head, first * TILE_WIDTH))
        async for chunk in _chunks(source, trusted, head, end):
            rows = open_chunk(chunk) if found.log.kind == "register" else []
            kept = {row.index: row for row in await _kept(store, found, chunk)} if rows else {}
            for row in chunk.bundles:
                at = row.index * TILE_WIDTH - chunk.start
                beside = rows[at : at + row.width]
                yield _merged(row, beside, kept.get(row.index), found.erased) if beside else row


async def _chunks(source: GrpcSource, trusted: LogVerifier, head: Checkpoint, end: int) -> AsyncIterator[VerifiedChunk]:
    async with aclosing(source.entries(head.origin, trusted.edge.size, end, head.size)) as received:
        async for chunk in received:
            try:
                yield trusted.chunk(chunk)
            except Malformed as error:
                raise ProofError(f"{source.address} sent what does not parse: {error}", head.note) from error
    if trusted.edge.size < end:
        raise Unavailable(f"{source.address} ended at entry {trusted.edge.size} of {end}")


async def _kept(store: FsckStore, found: CheckResult, chunk: VerifiedChunk) -> list[Bundle]:
    indices = [row.index for row in chunk.bundles]
    return await store.bundles(found.log.id, indices[0], indices[-1] + 1, 1 << 62)


def _merged(sent: Bundle, rows: Sequence[Row], kept: Bundle | None, erased: Mapping[int, int]) -> Bundle:
    items, ours = bundle.cut(sent.items, sent.width), _items(kept)
    for at, row in enumerate(rows):
        if row.index in erased:
            items[at] = b""
        elif row.missing and row.entry is not None and at < len(ours) and item_hash(ours[at]) == row.entry.item_hash:
            items[at] = ours[at]
    return replace(sent, items=bundle.join(items))


def _items(row: Bundle | None) -> list[bytes]:
    try:
        return bundle.cut(row.items) if row is not None else []
    except Malformed:
        return []


def _runs(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of consecutive indices."""
    first = last = None
    for index in sorted(indices):
        if first is None or last is None or index != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = index
        last = index
    if first is not None and last is not None:
        yield first, last
