"""User entries by number, as v1 counts them, and items by hash. Entries by index are the log's (`logs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.formats import NotAcceptable, item_path
from mintmark.api.requests import parse_number
from mintmark.errors import Gone
from mintmark.register.item import parse_hash
from mintmark.store.registers import entry_pages
from mintmark.tlog.text import MAX_NUMBER

if TYPE_CHECKING:
    from mintmark.api.requests import RouteContext
    from mintmark.register.reduce import Erasure
    from mintmark.store.registers.register_store import EntryRow

PAGE_ENTRIES, MAX_PAGE_ENTRIES = 100, 5_000  # by default, and at most


async def entries(c: RouteContext) -> models.Model:
    """User entries from number `start` on; an empty page past the last, so that clients can poll."""
    start = c.request.number("start", 1, 1, MAX_NUMBER)
    limit = c.request.number("limit", PAGE_ENTRIES, 1, MAX_PAGE_ENTRIES)
    rows = await entry_pages.numbered(c.store, c.log, c.view.size, start, limit)
    page = page_of_entries(start, limit, len(rows), 1, c.view.entries)
    return models.EntryList(**c.about("/entries"), rows=rows, page=page)


async def entry(c: RouteContext, number: str) -> models.Model:
    """The user entry with a number."""
    row = await by_number(c, number)
    return models.EntryDetail(**c.about(f"/entries/{row.number}"), row=row)


async def by_number(c: RouteContext, number: str) -> EntryRow:
    """The row of a user entry. Raises NotFound."""
    position = parse_number(number)
    row = await c.store.by_number(c.log, c.view.size, position) if position else None
    if row is None:
        raise c.missing("entry", number)
    return row


async def item(c: RouteContext, digest: str) -> models.Model:
    """An item by its hash, as long as it has not been erased. Of an unreadable one, HTML alone shows the bytes."""
    row = await c.store.by_item(c.log, c.view.size, parse_hash(digest))
    if row is None:
        raise c.missing("item", digest)
    if row.erasure is not None:
        raise gone(row.erasure)
    if row.item is None and c.format != "html":
        raise NotAcceptable(
            f"what the log holds as the item {digest} is no item of a register: no format can say it. "
            f"Its bytes are at {c.view.base}{item_path(row.index)}"
        )
    content = (await c.store.item_bytes(c.log, [row.index]))[row.index] if row.item is None else b""
    return models.ItemDetail(**c.about(f"/items/{digest}"), item=row.item, row=row, unreadable=content)


def gone(erasure: Erasure) -> Gone:
    """The error for an item that was erased."""
    return Gone(f"the item was {erasure}; the entry that names it stays, and so does its proof")


def page_of_entries(start: int, limit: int, count: int, least: int, total: int) -> models.Page:
    """A page of `count` entries from `start`; `least` is the first position of all, 0 or 1."""
    end = start + count
    sized = {"limit": str(limit)}
    next_ = {"start": str(end), **sized} if count and end < total + least else None
    previous = {"start": str(max(least, start - limit)), **sized} if start > least else None
    first, last = (start, end - 1) if count else (None, None)
    return models.Page(next_, previous, first, last, total)
