"""Tiles that were read, kept: a tile is only ever widened, so one that is wide enough for a size stays right for it.

Those high in a tree are part of every proof; those at its foot are read for many proofs at once. For a minute: a tile
that was damaged when it was read, and mended since, is right again by then.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.aio import Batcher
from mintmark.errors import MintmarkError
from mintmark.tlog.kernel import HASH
from mintmark.tlog.tile import tile_width

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from mintmark.store.log.model import TileKey

    Address = tuple[int, int, int]  # log, level, index

KEPT, FRESH = 1_024, 60.0  # tiles, of 8 KB at most; seconds


class TileCache:
    """The tiles of one tree a log. `fetch` gives many, by their places in what it was asked; none that is lost."""

    def __init__(self, fetch: Callable[[Sequence[Address]], Awaitable[dict[int, bytes]]]) -> None:
        self._read: Batcher[Address, bytes] = Batcher(fetch)
        self._kept: dict[Address, bytes] = {}
        self._since = monotonic()

    async def get(self, log: int, keys: Collection[TileKey], size: int) -> dict[TileKey, bytes]:
        """These tiles, as wide as a tree of `size` has them, or wider. Raises MintmarkError if one is lost."""
        self._forget()
        found = {key: self._kept.get((log, *key), b"") for key in keys}
        short = [key for key, hashes in found.items() if len(hashes) < tile_width(*key, size) * HASH]
        for key, hashes in zip(
            short, await asyncio.gather(*(self._read.get((log, *key)) for key in short)), strict=True
        ):
            if hashes is None:
                raise MintmarkError(f"tile {key} of log {log} is lost; run mintmark fsck")
            self._kept[log, *key] = found[key] = hashes
        return found

    def _forget(self) -> None:
        """When there are too many, those at the foot go: 256 of them are asked for as often as the one above."""
        if monotonic() - self._since > FRESH:
            self._kept.clear()
            self._since = monotonic()
        elif len(self._kept) > KEPT:
            upper = {address: hashes for address, hashes in self._kept.items() if address[1]}
            self._kept = upper if len(upper) < KEPT // 2 else {}
