"""A log store for many callers at once: concurrent reads share one query, and tiles that were read are kept.

A tile is only ever widened: one that is wide enough for a size stays right for that size. Tiles high in a tree are part
of every proof, tiles at its foot of many. They are kept for a minute, so that a tile that was damaged when it was read,
and repaired since, is soon read again.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.aio import Batcher
from mintmark.errors import MintmarkError, NotAvailableYet
from mintmark.tlog import prove
from mintmark.tlog.chunk import make_chunk, plan_chunks
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH
from mintmark.tlog.tile import tile_width

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence

    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Head, TileAddress, TileKey
    from mintmark.tlog.trust import Chunk

MAX_CACHED_TILES = 1_024  # of 8 KB at most
MAX_TILE_AGE_SECONDS = 60.0
MAX_BATCHED_HEADS = 16  # logs


class TileCache:
    """The tiles of one tree of each log.

    `fetch` returns many tiles by their positions in its argument, and leaves out those that are lost.
    """

    def __init__(
        self,
        fetch: Callable[[Sequence[TileAddress]], Awaitable[dict[int, bytes]]],
        max_tiles: int = MAX_CACHED_TILES,
        max_age: float = MAX_TILE_AGE_SECONDS,
    ) -> None:
        self._read: Batcher[TileAddress, bytes] = Batcher(fetch)
        self._max_tiles, self._max_age = max_tiles, max_age
        self._tiles: dict[TileAddress, bytes] = {}
        self._since = monotonic()

    async def get(self, log: int, keys: Collection[TileKey], size: int) -> dict[TileKey, bytes]:
        """Tiles as wide as in a tree of `size`, or wider. Raises MintmarkError if one is lost."""
        self._evict()
        found = {key: self._tiles.get((log, *key), b"") for key in keys}
        short = [key for key, hashes in found.items() if len(hashes) < tile_width(*key, size) * HASH_BYTES]
        fresh = await asyncio.gather(*(self._read.get((log, *key)) for key in short))
        for key, hashes in zip(short, fresh, strict=True):
            if hashes is None:
                raise MintmarkError(f"tile {key} of log {log} is lost; run mintmark fsck")
            self._tiles[log, *key] = found[key] = hashes
        return found

    def _evict(self) -> None:
        """Drops tiles that are too old; of too many, those at the foot, each read 256 times less than the one above."""
        if monotonic() - self._since > self._max_age:
            self._tiles.clear()
            self._since = monotonic()
        elif len(self._tiles) > self._max_tiles:
            upper = {address: hashes for address, hashes in self._tiles.items() if address[1]}
            self._tiles = upper if len(upper) < self._max_tiles // 2 else {}


class CachedLogReader:
    """The reads of the gRPC service `Log`. `on_heads` hears of heads, by log id, before the caller gets them."""

    def __init__(
        self,
        store: LogStore,
        max_tile_age: float = MAX_TILE_AGE_SECONDS,
        on_heads: Callable[[dict[int, Head]], None] = lambda _: None,
    ) -> None:
        self.logs, self.log, self.bundles, self.leaf_index = store.logs, store.log, store.bundles, store.leaf_index
        self._store, self._on_heads = store, on_heads
        self._heads: Batcher[int, Head] = Batcher(self._fetch_heads)
        self._last: dict[int, Head] = {}  # by log: the head that was read last
        self._tiles = TileCache(store.tiles_at, max_age=max_tile_age)

    async def head(self, log: int, size: int = 0) -> Head:
        """The head of a log; raises NotAvailableYet before its first checkpoint.

        It is read after this call, unless a head of at least `size` entries is known: heads only grow.
        """
        if size and (last := self._last.get(log)) is not None and last.size >= size:
            return last
        if (head := await self._heads.get(log)) is None:
            raise NotAvailableYet("this log has no checkpoint yet")
        return head

    async def heads(self, logs: Collection[int]) -> dict[int, Head]:
        """The heads by log id; a log without a head is left out."""
        if len(logs) > MAX_BATCHED_HEADS:  # a query of its own delays no other caller
            found = await self._store.heads(logs)
            self._on_heads(found)
            return found
        heads = await asyncio.gather(*map(self._heads.get, logs))
        return {log: head for log, head in zip(logs, heads, strict=True) if head is not None}

    async def tiles(self, log: int, keys: Collection[TileKey], size: int) -> dict[TileKey, bytes]:
        """Tiles as wide as in a tree of `size`, or wider. Raises MintmarkError if one is lost."""
        return await self._tiles.get(log, keys, size)

    async def chunks(self, log: int, start: int, end: int, size: int, max_bytes: int) -> AsyncGenerator[Chunk, None]:
        """The chunks of [start, end), read in parts of `max_bytes`, or of one bundle where that is more."""
        while start < end:
            for chunk in await self.read_chunks(log, start, end, size, max_bytes):
                yield chunk
                start = chunk.end

    async def read_chunks(self, log: int, start: int, end: int, size: int, max_bytes: int) -> list[Chunk]:
        """The first chunks of [start, end) with their proofs against `size`; `start` is a multiple of 256.

        Plan, read once, finish: the chunks are proven together, their tiles read in one query.
        """
        rows = await self.bundles(log, start // TILE_WIDTH, -(-end // TILE_WIDTH), max_bytes)
        spans = plan_chunks(rows, start, end)
        plans = [prove.subtree_spans(lo, hi, size) for lo, hi in spans]
        tiles = await self.tiles(log, prove.needed([span for plan in plans for span in plan]), size)
        return [
            make_chunk(lo, hi, rows[(lo - start) // TILE_WIDTH :], prove.prove(plan, tiles))
            for (lo, hi), plan in zip(spans, plans, strict=True)
        ]

    async def _fetch_heads(self, logs: Sequence[int]) -> dict[int, Head]:
        heads = await self._store.heads(set(logs))
        self._on_heads(heads)
        self._last.update(heads)
        return {at: heads[log] for at, log in enumerate(logs) if log in heads}
