"""Files of a published log, each parsed as it comes: what stands in a file's place, with status 200, is no file.

A page of HTML, an empty or a cut body, is a transport's and no word of the log. It is asked for once more, past caches.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mintmark.errors import Malformed, NotAvailableYet, Unavailable
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH
from mintmark.tlog.tile import Tile, path, tile_width

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mintmark.sources.http_files import HttpFiles
    from mintmark.tlog.tile import Key

T = TypeVar("T")

MAX_KEPT_TILES = 256  # while entries are read


async def get_parsed(files: HttpFiles, parsers: Mapping[str, Callable[[bytes], T]], max_bytes: int) -> T | None:
    """The first of these files that is there, parsed; None where none is.

    One that does not parse is asked for once more, past caches. Raises Unavailable where it does not parse then either.
    """
    for name, parse in parsers.items():
        junk: Malformed | None = None
        for past_caches in (False, True):
            try:
                if (data := await files.get(name, max_bytes, past_caches=past_caches)) is None:
                    break
                return parse(data)
            except Malformed as error:
                junk = error
        else:
            raise Unavailable(f"{files.url}{name} is something else, past caches too: {junk}")
    return None


class Tiles:
    """The tiles of a tree of `size`, kept for as long as one question takes: those near the root come again and again.

    No longer, for a bad one that was mended at its source must not be believed from memory.
    """

    def __init__(self, files: HttpFiles, size: int) -> None:
        self._files, self._size = files, size
        self._kept: OrderedDict[Key, bytes] = OrderedDict()

    async def get(self, keys: Collection[Key]) -> dict[Key, bytes]:
        """These tiles, as wide as the tree has them. Raises NotAvailableYet for one that is lacking, Unavailable."""
        missing = [key for key in keys if key not in self._kept]
        self._kept.update(zip(missing, await asyncio.gather(*map(self._tile, missing)), strict=True))
        found = {key: self._kept[key] for key in keys}
        for key in keys:
            self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT_TILES:
            self._kept.popitem(last=False)
        return found

    async def _tile(self, key: Key) -> bytes:
        width = tile_width(*key, self._size)
        name, full = path(Tile(*key, width)), path(Tile(*key))
        parsers = {each: partial(_cut_tile, width if each == name else TILE_WIDTH, width) for each in (name, full)}
        if (hashes := await get_parsed(self._files, parsers, TILE_WIDTH * HASH_BYTES)) is None:
            raise NotAvailableYet(f"{self._files.url}{name} is not there")
        return hashes


def _cut_tile(of: int, width: int, hashes: bytes) -> bytes:
    """The first `width` hashes of a tile `of` so many."""
    if len(hashes) != of * HASH_BYTES:
        raise Malformed(f"{len(hashes)} bytes where {of * HASH_BYTES} belong")
    return hashes[: width * HASH_BYTES]
