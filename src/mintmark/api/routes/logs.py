"""The log itself, opaque ones too, as C2SP tlog-tiles has it: checkpoint, tiles and entry bundles below /{name}/log.

A register's items are beside its entries, in tile/items. What was hashed never changes; an item may be erased, so a
bundle of items is asked for each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api.routes.context import FOREVER, Reply
from mintmark.errors import Malformed, NotAvailableYet, NotFound
from mintmark.tlog import bundle, tile
from mintmark.tlog.kernel import HASH, WIDTH

if TYPE_CHECKING:
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Head, Log
    from mintmark.tlog.trust import Bundle

TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"


async def serve(store: LogStore, log: Log, head: Head, path: str) -> Reply:
    """`checkpoint`, `tile/…`, `tile/entries/…`, `tile/items/…`. Raises NotFound for all else, and beyond the head."""
    if path == "checkpoint":
        return Reply(TEXT, head.note)
    try:
        if path.startswith("tile/entries/"):
            row, width = await _bundle(store, log, head, *tile.parse_entries_path(path))
            return Reply(BYTES, bundle.take(row.entries, width), fresh=FOREVER)
        if path.startswith("tile/items/") and log.kind == "register":
            row, width = await _bundle(store, log, head, *tile.parse_items_path(path))
            return Reply(BYTES, bundle.take(row.items, width))
        return await _tile(store, log, head, tile.parse_path(path))
    except Malformed as error:
        raise NotFound(str(error)) from None


async def _tile(store: LogStore, log: Log, head: Head, asked: tile.Tile) -> Reply:
    _check_width(asked.width, tile.tile_width(asked.level, asked.index, head.size))
    hashes = (await store.tiles(log.id, [(asked.level, asked.index)]))[asked.level, asked.index]
    return Reply(BYTES, hashes[: asked.width * HASH], fresh=FOREVER)


async def _bundle(store: LogStore, log: Log, head: Head, index: int, width: int) -> tuple[Bundle, int]:
    _check_width(width, tile.tile_width(0, index, head.size))
    return (await store.bundles(log.id, index, index + 1, 1))[0], width


def _check_width(asked: int, there: int) -> None:
    if not asked <= there:
        raise NotAvailableYet(f"the log has {there} of {WIDTH} there, not {asked} yet")
