"""A whole read database: the stores over one pool, and the transaction of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.store.mirror.commit import commit_batch
from mintmark.store.mirror.evidence import EvidenceStore
from mintmark.store.mirror.freshness import FreshnessStore
from mintmark.store.mirror.lease import LeaseStore
from mintmark.store.mirror.progress import ProgressStore
from mintmark.store.mirror.settle import Settler
from mintmark.store.mirror.status import StatusStore
from mintmark.store.mirror.withheld import WithheldStore

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mintmark.store.connection.pool import Pool
    from mintmark.store.mirror.model import Batch, Committed


class ReadStore(ProgressStore):
    """Reads and writes one read database. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.leases, self.evidence = LeaseStore(pool), EvidenceStore(pool)
        self.status, self.freshness = StatusStore(pool), FreshnessStore(pool)
        self.withheld, self.settler = WithheldStore(pool), Settler(pool)

    async def commit_batch(self, batch: Batch, before: Awaitable[Committed] | None = None) -> Committed:
        """Writes a verified batch and moves `progress` in one transaction; the head too where the batch completes it.

        The head does not move over an item that was withheld and that no erasure explains. Raises Conflict, with
        nothing written, where `progress.size` is not `batch.old_size` or the log was stopped.

        `before` is the transaction that writes the batch before: the new rows of this batch are sent meanwhile.
        """
        async with self.pool.connection() as conn:
            committed = await commit_batch(conn, batch, before)
        if committed.shown:
            self.notifier.notify(batch.log)
        return committed
