"""Reading a log over gRPC, believing nothing: every value that leaves here has been verified against the log's key.

A download may start anywhere: the right edge of the tree at that point comes as tiles, and a consistency proof shows
that the signed tree grew from it. From there on each chunk is checked before it is given out.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, NotAvailableYet, ProofError, Unavailable
from mintmark.sources.source import edge_at
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.kernel import WIDTH
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mintmark.cli.options import TrustedLog
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk

PAUSE = 0.5  # seconds before a broken download goes on


@contextmanager
def strictly() -> Iterator[None]:
    """What a server sends and does not parse is no better than a false proof."""
    try:
        yield
    except Malformed as error:
        raise ProofError(f"the server sent what does not parse: {error}") from error


async def get_head(client: RpcClient, log: TrustedLog) -> Checkpoint:
    """The present head, signed by a key we trust."""
    note = await client.checkpoint(log.origin)
    with strictly():
        return open_checkpoint(note, log.origin, log.verifiers)


async def get_head_by_policy(client: RpcClient, log: TrustedLog, policy: bytes) -> Checkpoint:
    """The present head with its cosignatures, signed by a key we trust and as a tlog-policy asks for."""
    from mintmark.tlog.policy import open_by_policy, parse_policy

    asked = parse_policy(policy)
    note = await client.checkpoint(log.origin)
    with strictly():
        open_checkpoint(note, log.origin, log.verifiers)
        head, _ = open_by_policy(note, asked)
    return head


async def accept(client: RpcClient, trusted: LogVerifier, note: bytes) -> Checkpoint:
    """Moves a verifier to a newer head, with the server's proof that it follows. Raises Untrusted where it does not."""
    before = trusted.head
    with strictly():
        seen = open_checkpoint(note, trusted.origin, trusted.verifiers)
    grown = before is not None and before.size < seen.size
    proof = await client.consistency(trusted.origin, before.size, seen.size) if before and grown else []
    with strictly():
        return trusted.accept(note, proof)


async def begin(client: RpcClient, log: TrustedLog, head: Checkpoint, start: int = 0) -> LogVerifier:
    """A verifier that stands at the bundle of `start`, ready for the chunks from there on."""
    at = start - start % WIDTH
    return LogVerifier(log.origin, log.verifiers, head, await edge_at(client, head, at))


async def get_chunks(client: RpcClient, trusted: LogVerifier, end: int) -> AsyncIterator[VerifiedChunk]:
    """Verified chunks from where `trusted` stands to `end`; goes on after a break while each attempt gets further."""
    while (at := trusted.edge.size) < end:
        try:
            async for chunk in _attempt(client, trusted, end):
                yield chunk
        except Unavailable:
            if trusted.edge.size == at:
                raise
            await asyncio.sleep(PAUSE)


async def _attempt(client: RpcClient, trusted: LogVerifier, end: int) -> AsyncIterator[VerifiedChunk]:
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
        raise AssertionError("a download begins at a head")
    return trusted.head


def check_range(start: int, end: int | None, head: Checkpoint) -> int:
    """The end of a range that may be open. Raises NotAvailableYet beyond the head."""
    end = head.size if end is None else end
    if not 0 <= start <= end <= head.size:
        raise NotAvailableYet(f"entries [{start}, {end}) are not all there; the log has {head.size}")
    return end


def is_register(chunk: VerifiedChunk) -> bool:
    """Whether items came beside the entries: an opaque log has none."""
    return bool(chunk.bundles and chunk.bundles[0].items)


def leaves(chunk: VerifiedChunk) -> Iterator[tuple[int, bytes]]:
    """(index, entry) of each new entry of a chunk, as it was hashed."""
    for row in chunk.bundles:
        for index, entry in enumerate(bundle.cut(row.entries, row.width), row.index * WIDTH):
            if chunk.start <= index < chunk.end:
                yield index, entry
