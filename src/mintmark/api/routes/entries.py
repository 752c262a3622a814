"""Entries and items: by number as v1 counts them, by index as the log does, and items by hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.http_request import MAX_NUMBER, whole
from mintmark.api.routes.context import missing
from mintmark.errors import Gone
from mintmark.register.item import parse_hash
from mintmark.store.registers import entry_pages

if TYPE_CHECKING:
    from mintmark.api.routes.context import RouteContext
    from mintmark.store.registers.register_store import EntryRow

PAGE, MOST = 100, 5_000


async def entries(c: RouteContext) -> models.Answer:
    """User entries from number `start` on; none where it is past the last, so that clients can poll with it."""
    start = c.request.number("start", 1, 1, MAX_NUMBER)
    limit = c.request.number("limit", PAGE, 1, MOST)
    rows = await entry_pages.numbered(c.store, c.log, c.view.size, start, limit)
    page = _page(start, limit, len(rows), 1, c.view.entries)
    return models.Entries(**c.answer("/entries"), rows=rows, page=page)


async def entry(c: RouteContext, number: str) -> models.Answer:
    """The user entry of a number."""
    row = await by_number(c, number)
    return models.EntryAnswer(**c.answer(f"/entries/{row.number}"), row=row)


async def by_number(c: RouteContext, number: str) -> EntryRow:
    """The row of a user entry. Raises NotFound."""
    at = whole(number)
    row = await c.store.by_number(c.log, c.view.size, at) if at else None
    if row is None:
        raise missing("entry", number, c.view)
    return row


async def log_entries(c: RouteContext) -> models.Answer:
    """Entries of either type from index `start` on: the log as it was signed."""
    start = c.request.number("start", 0, 0, MAX_NUMBER)
    limit = c.request.number("limit", PAGE, 1, MOST)
    rows = await entry_pages.indexed(c.store, c.log, c.view.size, start, limit)
    page = _page(start, limit, min(limit, max(c.view.size - start, 0)), 0, c.view.size)
    return models.Entries(**c.answer("/log/entries"), rows=rows, page=page)


async def log_entry(c: RouteContext, index: str) -> models.Answer:
    """The entry at an index."""
    at = whole(index)
    row = await c.store.by_index(c.log, at) if at is not None and at < c.view.size else None
    if row is None:
        raise missing("entry at index", index, c.view)
    return models.EntryAnswer(**c.answer(f"/log/entries/{at}"), row=row)


async def item(c: RouteContext, digest: str) -> models.Answer:
    """An item by its hash, as long as it has not been erased."""
    row = await c.store.by_item(c.log, c.view.size, parse_hash(digest))
    if row is None:
        raise missing("item", digest, c.view)
    if row.item is None:
        raise Gone(f"the item {digest} was erased; the entry that names it stays, and so does its proof")
    return models.ItemAnswer(**c.answer(f"/items/{digest}"), item=row.item, row=row)


def _page(start: int, limit: int, count: int, least: int, total: int) -> models.Page:
    """`least` is the first position, 0 or 1; the page before the first part is cut to begin there."""
    end = start + count
    sized = {"limit": str(limit)}
    next_ = {"start": str(end), **sized} if count and end < total + least else None
    previous = {"start": str(max(least, start - limit)), **sized} if start > least else None
    first, last = (start, end - 1) if count else (None, None)
    return models.Page(next_, previous, first, last, total)
