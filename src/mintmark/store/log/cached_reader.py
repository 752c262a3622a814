"""A log store for many callers at once: what they ask for meanwhile is one query, and tiles that were read are kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mintmark.aio import Batcher
from mintmark.errors import NotAvailableYet
from mintmark.store.log.tile_cache import TileCache
from mintmark.tlog import prove
from mintmark.tlog.chunk import make_chunk, plan_chunks
from mintmark.tlog.kernel import WIDTH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Head, TileKey
    from mintmark.tlog.trust import Chunk


FEW = 16  # logs


class CachedLogReader:
    """What the service `Log` reads."""

    def __init__(self, store: LogStore) -> None:
        self.logs, self.log, self.bundles, self.leaf_index = store.logs, store.log, store.bundles, store.leaf_index
        self._store = store
        self._heads: Batcher[int, Head] = Batcher(self._ask)
        self._last: dict[int, Head] = {}  # as they were read last
        self._tiles = TileCache(store.tiles_at)

    async def head(self, log: int, size: int = 0) -> Head:
        """The head of a log; raises NotAvailableYet before its first checkpoint.

        It is read after it was asked for, but where one that covers `size` entries is known: heads only grow.
        """
        if size and (last := self._last.get(log)) is not None and last.size >= size:
            return last
        if (head := await self._heads.get(log)) is None:
            raise NotAvailableYet("this log has no checkpoint yet")
        return head

    async def heads(self, logs: Collection[int]) -> dict[int, Head]:
        """The heads of those logs that have one, by log id."""
        if len(logs) > FEW:  # a query of its own, before which no one waits
            return await self._store.heads(logs)
        heads = await asyncio.gather(*map(self._heads.get, logs))
        return {log: head for log, head in zip(logs, heads, strict=True) if head is not None}

    async def tiles(self, log: int, keys: Collection[TileKey], size: int) -> dict[TileKey, bytes]:
        """These tiles, as wide as a tree of `size` has them, or wider. Raises MintmarkError if one is lost."""
        return await self._tiles.get(log, keys, size)

    async def chunks(
        self, log: int, start: int, end: int, size: int, max_bytes: Callable[[], int]
    ) -> AsyncGenerator[Chunk, None]:
        """The chunks of [start, end) with their proofs against `size`; `start` is a multiple of 256.

        Plan, read once, finish: the chunks of each read are proven together, their tiles read in one query.
        `max_bytes` says before each read how many bytes of bundles it may bring.
        """
        while start < end:
            rows = await self.bundles(log, start // WIDTH, -(-end // WIDTH), max_bytes())
            spans = plan_chunks(rows, start, end)
            plans = [prove.subtree_spans(lo, hi, size) for lo, hi in spans]
            tiles = await self.tiles(log, prove.needed([span for plan in plans for span in plan]), size)
            for (lo, hi), plan in zip(spans, plans, strict=True):
                yield make_chunk(lo, hi, rows[(lo - start) // WIDTH :], prove.prove(plan, tiles))
            start = spans[-1][1]

    async def _ask(self, logs: Sequence[int]) -> dict[int, Head]:
        heads = await self._store.heads(set(logs))
        self._last.update(heads)
        return {at: heads[log] for at, log in enumerate(logs) if log in heads}
