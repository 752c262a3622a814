"""The repair of a log of a database, in one transaction: a check, then right rows for wrong ones, and so on.

    bundles                        from a source, proven against the log's key (`restore`); then, from these,
    tiles, rows, counts, notes …   as the check says

It ends when a check finds nothing, or the same as before: an item that no source has, a request with an unknown id.
Nobody else writes the log meanwhile; readers read the old rows.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Fork, NotAvailableYet
from mintmark.fsck.check import check_log
from mintmark.fsck.findings import check_strays
from mintmark.fsck.rebuild import rebuild_rows
from mintmark.fsck.restore import restore_bundles
from mintmark.store.fsck import repairs
from mintmark.store.fsck.fsck_store import FsckStore
from mintmark.store.fsck.transactions import writing
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.fsck.check import CheckResult
    from mintmark.fsck.findings import Damage, KeyedLog
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.connection.pool import Pool
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

MAX_ROUNDS = 8
TREE_TABLES = {"bundle", "tile"}  # all others are made from them
NOTE_TABLES = {"head", "progress", "checkpoint"}  # repaired once the bundles are


class RepairResult(NamedTuple):
    """The check before the repair, and the check after it."""

    before: CheckResult
    after: CheckResult


async def repair(pool: Pool, keyed: KeyedLog, source: GrpcSource) -> RepairResult:
    """Repairs a log from a source that is not trusted.

    Raises:
        Untrusted: the source's head or entries are not of this log's tree, or the log signed another tree.
        NotAvailableYet: the source holds less than this database.
        Unavailable: the source or the database cannot be reached. After each of them, nothing was written.
    """
    log, verifiers = keyed.log, keyed.verifiers
    note = await source.checkpoint(log.origin)
    head = open_checkpoint(note, log.origin, verifiers)
    async with writing(pool, log.id) as store:
        await store.fix([damage.fix for damage in keyed.damages if damage.fix])
        before = found = await check_log(store, log, verifiers, cosigners=keyed.cosigners, sent=[head.note])
        await _check_head(source, head, found, verifiers)
        last: list[Damage] = []
        for _ in range(MAX_ROUNDS):
            if found.damages == last:
                break
            last = found.damages
            await _run_round(store, found, source, head, verifiers)
            found = await check_log(store, found.log, verifiers, cosigners=keyed.cosigners, sent=[head.note])
        return RepairResult(before, found)


async def repair_strays(pool: Pool) -> list[Damage]:
    """Deletes the rows of logs that do not exist; returns those that are left."""
    async with pool.connection() as conn, conn.transaction():
        store = FsckStore([conn])
        await store.fix([damage.fix for damage in await check_strays(store) if damage.fix])
        return await check_strays(store)


async def _check_head(source: GrpcSource, head: Checkpoint, found: CheckResult, verifiers: Sequence[Verifier]) -> None:
    """Checks that our head is the source's, or grew to it."""
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


def _notes(found: CheckResult) -> list[bytes]:
    return [found.known[size].note for size in sorted(found.known)][-2:]


async def _run_round(
    store: FsckStore, found: CheckResult, source: GrpcSource, head: Checkpoint, verifiers: Sequence[Verifier]
) -> None:
    """Restores the damaged bundles, then applies the fixes."""
    async with aclosing(restore_bundles(store, found, source, head, verifiers)) as bundles:
        async for row in bundles:
            await store.fix([repairs.put_bundle(found.log.id, row)])
    later = NOTE_TABLES if found.bundles else set()
    await store.fix([damage.fix for damage in found.damages if damage.fix and damage.table not in later])
    if found.too_many and not TREE_TABLES & {damage.table for damage in found.damages}:
        await rebuild_rows(store, store, found.log, verifiers)
