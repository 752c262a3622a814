"""The log below /{name}/log: its entries by index, and its files as C2SP tlog-tiles has them, of opaque logs too.

The files are checkpoint, tiles and entry bundles; a register's items are in tile/items, beside its entries, and each by
itself in items/{index}, as it was hashed. What was hashed never changes. An item may be erased, so items are validated
each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.requests import parse_number
from mintmark.api.responses import YEAR_SECONDS, head_headers, response
from mintmark.api.routes.entries import MAX_PAGE_ENTRIES, PAGE_ENTRIES, gone, page_of_entries
from mintmark.errors import Malformed, NotAvailableYet, NotFound
from mintmark.register.datatypes import shorten
from mintmark.store.registers import entry_pages
from mintmark.tlog import bundle, tile
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH
from mintmark.tlog.text import MAX_NUMBER

if TYPE_CHECKING:
    from starlette.responses import Response

    from mintmark.api.requests import RouteContext
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Head, Log
    from mintmark.store.registers.register_store import RegisterStore
    from mintmark.tlog.trust import Bundle

NOTE_TYPE, TILE_TYPE = "text/plain; charset=utf-8", "application/octet-stream"


async def entries(c: RouteContext) -> models.Model:
    """Entries of either type from index `start` on."""
    start = c.request.number("start", 0, 0, MAX_NUMBER)
    limit = c.request.number("limit", PAGE_ENTRIES, 1, MAX_PAGE_ENTRIES)
    rows = await entry_pages.indexed(c.store, c.log, c.view.size, start, limit)
    page = page_of_entries(start, limit, min(limit, max(c.view.size - start, 0)), 0, c.view.size)
    return models.EntryList(**c.about("/log/entries") | {"full": True}, rows=rows, page=page)


async def entry(c: RouteContext, index: str) -> models.Model:
    """The entry at an index."""
    position = parse_number(index)
    row = await c.store.by_index(c.log, position) if position is not None and position < c.view.size else None
    if row is None:
        raise c.missing("entry at index", index)
    return models.EntryDetail(**c.about(f"/log/entries/{position}") | {"full": True}, row=row)


async def file(store: RegisterStore, log: Log, head: Head, path: str) -> Response:
    """`checkpoint`, `tile/…`, `tile/entries/…`, `tile/items/…`, `items/…`.

    Raises NotFound for all else, and beyond the head; Gone for an item that was erased.
    """
    body, max_age = await _read_file(store, log, head, path)
    headers = head_headers(log.origin, head.size, head.root)
    return response(body, NOTE_TYPE if path == "checkpoint" else TILE_TYPE, max_age=max_age, headers=headers)


async def _read_file(store: RegisterStore, log: Log, head: Head, path: str) -> tuple[bytes, int]:
    """The bytes of a file, and the seconds that they stay true."""
    if path == "checkpoint":
        return head.note, 0
    try:
        if path.startswith("tile/entries/"):
            row, width = await _bundle(store, log, head, *tile.parse_entries_path(path))
            return bundle.take(row.entries, width), YEAR_SECONDS
        if path.startswith("tile/items/") and log.kind == "register":
            row, width = await _bundle(store, log, head, *tile.parse_items_path(path))
            return bundle.take(row.items, width), 0
        if path.startswith("items/") and log.kind == "register":
            return await _item(store, log, head, path.removeprefix("items/")), 0
        return await _hashes(store, log, head, tile.parse_path(path)), YEAR_SECONDS
    except Malformed as error:
        raise NotFound(str(error)) from None


async def _item(store: RegisterStore, log: Log, head: Head, text: str) -> bytes:
    index = parse_number(text)
    row = await store.by_index(log.id, index) if index is not None and index < head.size else None
    if row is None or row.ended:
        raise NotFound(f"{log.name} has no item at index {shorten(text)}")
    if row.erasure is not None:
        raise gone(row.erasure)
    return (await store.item_bytes(log.id, [row.index]))[row.index]


async def _hashes(store: LogStore, log: Log, head: Head, wanted: tile.Tile) -> bytes:
    _check_width(wanted.width, tile.tile_width(wanted.level, wanted.index, head.size))
    key = wanted.level, wanted.index
    return (await store.tiles(log.id, [key]))[key][: wanted.width * HASH_BYTES]


async def _bundle(store: LogStore, log: Log, head: Head, index: int, width: int) -> tuple[Bundle, int]:
    _check_width(width, tile.tile_width(0, index, head.size))
    return (await store.bundles(log.id, index, index + 1, 1))[0], width


def _check_width(wanted: int, available: int) -> None:
    if wanted > available:
        raise NotAvailableYet(f"the log has {available} of {TILE_WIDTH} there, not {wanted} yet")
