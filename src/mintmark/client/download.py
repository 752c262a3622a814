"""Reads a log over gRPC and verifies every value against the log's key before it is returned.

A download may start anywhere: tiles give the right edge of the tree at that point, and a consistency proof shows that
the signed tree grew from it. From there on, each chunk is verified before it is yielded.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured, NotAvailableYet, ProofError, Unavailable
from mintmark.sources.source import edge_at
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk

RESUME_PAUSE_SECONDS = 0.5  # before a broken download goes on


@contextmanager
def strictly() -> Iterator[None]:
    """Raises ProofError for Malformed: an answer that does not parse is worth no more than a false proof."""
    try:
        yield
    except Malformed as error:
        raise ProofError(f"the server sent what does not parse: {error}") from error


async def get_head(client: MintClient, log: TrustedLog) -> Checkpoint:
    """The present head, signed by a trusted key of the log."""
    note = await client.checkpoint(log.origin)
    with strictly():
        return open_checkpoint(note, log.origin, log.verifiers)


async def get_head_by_policy(client: MintClient, log: TrustedLog, policy: bytes) -> Checkpoint:
    """The present head, signed by a trusted key and cosigned by the quorum of a tlog-policy.

    Raises:
        Malformed: no policy.
        Misconfigured: the policy does not name the log.
        NotAvailableYet: the quorum has not cosigned this head so far.
    """
    from mintmark.tlog.policy import open_by_policy, parse_policy

    parsed = parse_policy(policy)
    if log.origin not in {signer.name for signer in parsed.logs}:
        raise Misconfigured(f"the policy does not name {log.origin}; add the line: log {log.verifiers[0].vkey}")
    note = await client.checkpoint(log.origin)
    with strictly():
        open_checkpoint(note, log.origin, log.verifiers)
        head, _ = open_by_policy(note, parsed)
    return head


def open_head(trusted: LogVerifier, note: bytes) -> Checkpoint:
    """The head in a note, signed by a trusted key; that it follows from the one before is not checked."""
    with strictly():
        return open_checkpoint(note, trusted.origin, trusted.verifiers)


async def accept(client: MintClient, trusted: LogVerifier, note: bytes) -> Checkpoint:
    """Moves a verifier to a newer head, which the server proves to follow. Raises Untrusted where it does not."""
    before, seen = trusted.head, open_head(trusted, note)
    grown = before is not None and before.size < seen.size
    proof = await client.consistency(trusted.origin, before.size, seen.size) if before and grown else []
    with strictly():
        return trusted.accept(note, proof)


async def start_verifier(client: MintClient, log: TrustedLog, head: Checkpoint, start: int = 0) -> LogVerifier:
    """A verifier at the bundle that holds `start`, for the chunks from there to the head."""
    at = start - start % TILE_WIDTH
    return LogVerifier(log.origin, log.verifiers, head, await edge_at(client, head, at))


async def get_chunks(client: MintClient, trusted: LogVerifier, end: int) -> AsyncIterator[VerifiedChunk]:
    """Verified chunks from the edge of `trusted` to `end`. Resumes a broken stream if the attempt got any further."""
    while (at := trusted.edge.size) < end:
        try:
            async for chunk in _attempt(client, trusted, end):
                yield chunk
        except Unavailable:
            if trusted.edge.size == at:
                raise
            await asyncio.sleep(RESUME_PAUSE_SECONDS)


async def _attempt(client: MintClient, trusted: LogVerifier, end: int) -> AsyncIterator[VerifiedChunk]:
    size = _head(trusted).size
    async with aclosing(client.entries(trusted.origin, trusted.edge.size, end, size)) as received:
        async for chunk in received:
            with strictly():
                verified = trusted.chunk(chunk)
            yield verified
    if trusted.edge.size < end:
        raise ProofError(f"the server ended at entry {trusted.edge.size} of {end}")


def _head(trusted: LogVerifier) -> Checkpoint:
    if trusted.head is None:
        raise AssertionError("a download starts from a head")
    return trusted.head


def check_range(start: int, end: int | None, head: Checkpoint) -> int:
    """The end of a range, the head's size where `end` is None. Raises NotAvailableYet beyond the head."""
    end = head.size if end is None else end
    if not 0 <= start <= end <= head.size:
        raise NotAvailableYet(f"entries [{start}, {end}) are not all there; the log has {head.size}")
    return end


def is_register(chunk: VerifiedChunk) -> bool:
    """True if items came beside the entries; an opaque log has none."""
    return bool(chunk.bundles and chunk.bundles[0].items)


def leaves(chunk: VerifiedChunk) -> Iterator[tuple[int, bytes]]:
    """(index, entry) of each new entry of a chunk; the bytes that were hashed."""
    for row in chunk.bundles:
        for index, entry in enumerate(bundle.cut(row.entries, row.width), row.index * TILE_WIDTH):
            if chunk.start <= index < chunk.end:
                yield index, entry
