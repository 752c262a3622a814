"""Mending a log of a database, in one transaction: a check, then right rows for wrong ones, until a check finds none.

    bundles   from a source, proven against the log's key (`restore`)          then, from these,
    tiles, rows, counts, notes …   as the check says that they should be

No other writes the log meanwhile; readers go on reading what was there. Where a round mends nothing more, what is left
is reported: an item that no source has, a request whose id nobody knows.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Fork, NotAvailableYet
from mintmark.fsck.check import check_log, check_strays
from mintmark.fsck.rebuild import rebuild_rows
from mintmark.fsck.restore import restored
from mintmark.store.fsck import repair_sql
from mintmark.store.fsck.fsck_store import FsckStore, writing
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.fsck.check import Checked
    from mintmark.fsck.damage import Damage
    from mintmark.fsck.logs import Keyed
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.connection.pool import Pool
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

ROUNDS = 8
TREE = {"bundle", "tile"}  # all else is made from them
NOTES = {"head", "progress", "checkpoint"}  # what they say is true of whole bundles only


class Mended(NamedTuple):
    """The check before, and the check after."""

    before: Checked
    after: Checked


async def repair(pool: Pool, keyed: Keyed, source: GrpcSource) -> Mended:
    """Mends a log from a source that is not trusted.

    Raises:
        Untrusted: the source's head or entries are not of this log's tree, or the log signed what its rows never were.
        NotAvailableYet: the source holds less than this database.
        Unavailable: it or the database cannot be reached. After any of them, nothing was written.
    """
    log, verifiers = keyed.log, keyed.verifiers
    note = await source.checkpoint(log.origin)
    head = open_checkpoint(note, log.origin, verifiers)
    async with writing(pool, log.id) as store:
        await store.fix([damage.fix for damage in keyed.damages if damage.fix])
        before = found = await check_log(store, log, verifiers, cosigners=keyed.cosigners, sent=[head.note])
        await _check_head(source, head, found, verifiers)
        last: list[Damage] = []
        for _ in range(ROUNDS):
            if found.damages == last:
                break
            last = found.damages
            await _mend(store, found, source, head, verifiers)
            found = await check_log(store, found.log, verifiers, cosigners=keyed.cosigners, sent=[head.note])
        return Mended(before, found)


async def repair_strays(pool: Pool) -> list[Damage]:
    """Takes away the rows of no log; what is left of them."""
    async with pool.connection() as conn, conn.transaction():
        store = FsckStore([conn])
        await store.fix([damage.fix for damage in await check_strays(store) if damage.fix])
        return await check_strays(store)


async def _check_head(source: GrpcSource, head: Checkpoint, found: Checked, verifiers: Sequence[Verifier]) -> None:
    """The source's head is one that ours grew to, or that ours is."""
    if found.lied:
        raise Fork(f"the rows of {head.origin} are whole, and are not what it signed", *_notes(found))
    if head.size < found.size:
        raise NotAvailableYet(
            f"{source.address} holds {head.size} entries of {head.origin}, and this database {found.size}"
        )
    sizes = [size for size in found.known if size < head.size]
    if (same := found.known.get(head.size)) is not None and same.root != head.root:
        raise Fork(f"{head.origin} signed two trees of {head.size} entries", same.note, head.note)
    if sizes:
        ours = found.known[max(sizes)]
        proof = await source.consistency(head.origin, ours.size, head.size)
        LogVerifier(head.origin, verifiers, ours, Edge()).accept(head.note, proof)


def _notes(found: Checked) -> list[bytes]:
    return [found.known[size].note for size in sorted(found.known)][-2:]


async def _mend(
    store: FsckStore, found: Checked, source: GrpcSource, head: Checkpoint, verifiers: Sequence[Verifier]
) -> None:
    """One round."""
    async with aclosing(restored(store, found, source, head, verifiers)) as bundles:
        async for row in bundles:
            await store.fix([repair_sql.bundle(found.log.id, row)])
    later = NOTES if found.bundles else set()
    await store.fix([damage.fix for damage in found.damages if damage.fix and damage.table not in later])
    if found.many and not TREE & {damage.table for damage in found.damages}:
        await rebuild_rows(store, store, found.log, verifiers)
