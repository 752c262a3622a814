"""Records: pages of all, of those with a value, of those with words; one record, its entries, and its referrers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mintmark.api import models
from mintmark.api.formats import segment
from mintmark.api.requests import parse_number
from mintmark.errors import Malformed, NotFound
from mintmark.register.datatypes import shorten
from mintmark.register.entry import MAX_KEY_BYTES
from mintmark.register.links import title
from mintmark.store.registers import entry_pages, links, record_pages
from mintmark.store.registers.record_pages import AFTER_KEY, PageCursor
from mintmark.store.registers.register_store import Lookup
from mintmark.tlog.text import MAX_NUMBER

if TYPE_CHECKING:
    from mintmark.api.requests import RouteContext
    from mintmark.store.registers.record_pages import Match, Order, RecordPage
    from mintmark.store.registers.register_store import EntryRow

PAGE_RECORDS, MAX_PAGE_RECORDS = 100, 5_000  # by default, and at most
MAX_PAGE_ENTRIES = 5_000  # of one record
SHOWN_HISTORY, SHOWN_REFERRERS = 50, 10  # entries, and records for each field, on a record's page
MAX_REFERRERS, MAX_REFERRING_FIELDS = 100, 64  # records for each field; fields of all registers
MAX_QUERY_CHARS = 200
ORDERS: tuple[Order, ...] = ("key", "newest")


async def records(c: RouteContext) -> models.Model:
    """A page of all records, or of those with the facet `name` and `value`."""
    params = c.request.params
    if "name" in params or "value" in params:
        return await facet(c, params.get("name", ""), params.get("value", ""))
    return await _page(c, "/records", record_pages.EVERY_RECORD)


async def facet(c: RouteContext, field: str, value: str) -> models.Model:
    """A page of the records with a field's value; empty where none has it. Raises NotFound for an unknown field."""
    if field not in c.view.column_names:
        raise c.missing("field", field)
    match = record_pages.has_value(c.log, field, value)
    path = f"/records/{segment(field)}/{segment(value)}"
    return await _page(c, path, match, facet=(field, value))


async def search(c: RouteContext) -> models.Model:
    """A page of the records that have every word of `q`. The last word may be the beginning of one."""
    query = c.request.params.get("q", "").strip()
    if len(query) > MAX_QUERY_CHARS:
        raise Malformed(f"q is at most {MAX_QUERY_CHARS} characters")
    match = await record_pages.has_words(c.store, c.log, query)
    if match is None:  # no word in it
        return models.RecordList(**c.about("/search"), rows=[], page=models.Page(total=0), query=query)
    return await _page(c, "/search", match, query=query)


async def record(c: RouteContext, key: str) -> models.Model:
    """One record."""
    row = await latest(c, key)
    dangling = await c.dangling([row])
    path = f"/records/{segment(key)}"
    if c.format != "html":
        return models.RecordDetail(**c.about(path), row=row, dangling=dangling)
    history = await entry_pages.history(c.store, c.log, c.view.size, key, SHOWN_HISTORY + 1)
    found, more = await _referrers(c, key, SHOWN_REFERRERS)
    return models.RecordDetail(
        **c.about(path), row=row, dangling=dangling, titles=await c.titles(row), referrers=found, more_referrers=more,
        history=history[:SHOWN_HISTORY], more_history=len(history) > SHOWN_HISTORY,
    )  # fmt: skip


async def referrers(c: RouteContext, key: str) -> models.Model:
    """The records that link to a record."""
    await latest(c, key)
    found, more = await _referrers(c, key, MAX_REFERRERS)
    page = models.Page(first=1 if found else None, last=len(found) or None, total=None if more else len(found))
    return models.ReferrerList(**c.about(f"/records/{segment(key)}/referrers"), key=key, referrers=found, page=page)


async def record_entries(c: RouteContext, key: str) -> models.Model:
    """The entries of one record, oldest first; in pages where they are more than MAX_PAGE_ENTRIES."""
    after = c.request.params.get("after")
    start = -1 if after is None else parse_number(after)
    if start is None:
        raise Malformed(f"after is an index, not {shorten(after or '')}")
    rows = await entry_pages.trail(c.store, c.log, c.view.size, key, start, MAX_PAGE_ENTRIES + 1)
    if not rows and start < 0:
        raise c.missing("record", key)
    next_ = {"after": str(rows[MAX_PAGE_ENTRIES - 1].index)} if len(rows) > MAX_PAGE_ENTRIES else None
    path = f"/records/{segment(key)}/entries"
    return models.EntryList(**c.about(path), rows=rows[:MAX_PAGE_ENTRIES], page=models.Page(next=next_), key=key)


async def latest(c: RouteContext, key: str) -> EntryRow:
    """The latest entry of a record that stands. Raises NotFound."""
    if len(key.encode()) > MAX_KEY_BYTES:
        raise Malformed(f"a key is at most {MAX_KEY_BYTES} bytes")
    row = await c.reads.latest.get(Lookup(c.log, c.view.size, key))
    if row is None:
        raise c.missing("record", key)
    if row.ended:
        raise NotFound(
            f"the record {shorten(key)} ended with entry {row.number}; its entries are at /records/{key}/entries"
        )
    return row


async def _page(c: RouteContext, path: str, match: Match, **more: Any) -> models.Model:
    number = c.request.number("page-index", 1, 1, 10**9)
    size = c.request.number("page-size", PAGE_RECORDS, 1, MAX_PAGE_RECORDS)
    order: Order = "newest" if c.request.choice("sort", ORDERS) == "newest" else "key"
    offset = (number - 1) * size
    after = _after(c, order)
    if after is None:
        _check_reach(c, offset)
    limit = min(size, c.max_rows)
    if after is None and number > 1 and size > PAGE_RECORDS:
        await _check_whole(c, order, size, limit, offset - size, match)
    skip = offset if after is None else 0
    found = await record_pages.page(c.store, c.log, c.view.size, order, after, limit, skip, match)
    if not found.rows and number > 1 and after is None:
        raise NotFound(f"there is no page {number}")
    dangling = await c.dangling(found.rows)
    page = _beside(c, found, order, number, size, c.view.records if match is record_pages.EVERY_RECORD else found.total)
    return models.RecordList(**c.about(path), rows=found.rows, page=page, dangling=dangling, **more)


async def _check_whole(c: RouteContext, order: Order, size: int, limit: int, offset: int, match: Match) -> None:
    """Refuses to count pages where the one before was cut: whoever counts would miss the rest of it."""
    before = await record_pages.page(c.store, c.log, c.view.size, order, None, limit, offset, match)
    if before.rows and before.after is not None and len(before.rows) < size:
        raise Malformed(
            f"{size:,} of these records are more than one page holds: ask for page-size={PAGE_RECORDS}, or follow the "
            "next links"
        )


def _check_reach(c: RouteContext, offset: int) -> None:
    if offset and offset >= c.view.records:
        raise NotFound(f"the page is beyond the {c.view.records} records")
    if offset > (window := c.store.limits.window_entries):
        raise Malformed(f"page-index reaches {window:,} records; for more follow the next links, or download")


def _after(c: RouteContext, order: Order) -> PageCursor | None:
    text = c.request.params.get("after")
    if text is None:
        return None
    if order == "key":
        return PageCursor(text, c.request.number("past", AFTER_KEY, 0, MAX_NUMBER))
    if (index := parse_number(text)) is None:
        raise Malformed(f"after is an index, not {shorten(text)}")
    return PageCursor("", min(index, c.view.size))


def _next(found: RecordPage, order: Order) -> dict[str, str]:
    """The parameters of the start of the next page."""
    if found.after is None or order == "newest":
        return {"after": str(found.after.entry)} if found.after else {}
    key, index = found.after
    return {"after": key} if index == AFTER_KEY else {"after": key, "past": str(index)}


def _beside(c: RouteContext, found: RecordPage, order: Order, number: int, size: int, total: int | None) -> models.Page:
    """The page among its neighbours. The previous one goes by its number, for cursors lead forward only."""
    offset = (number - 1) * size
    kept = {name: text for name, text in c.request.params.items() if name in ("q", "name", "value", "sort", "full")}
    sized = {"page-size": str(size)}
    next_ = None
    if found.after is not None:
        counted = {"page-index": str(number + 1)} if len(found.rows) == size else {}
        next_ = {**counted, **sized, **_next(found, order), **kept}
    back = number > 1 and offset <= c.store.limits.window_entries
    previous = {"page-index": str(number - 1), **sized, **kept} if back else None
    if not found.rows or (number == 1 and "after" in c.request.params):  # after a cut page nobody counts
        return models.Page(next_, previous, total=total)
    return models.Page(next_, previous, offset + 1, offset + len(found.rows), total)


async def _referrers(c: RouteContext, key: str, limit: int) -> tuple[list[models.Referrer], bool]:
    """Records that link to a key, at most `limit` for each field that may; True if there are more."""
    places = _places(c, key)
    rows = await links.referrers(c.store, [place for _, place in places], limit + 1)
    found: list[models.Referrer] = []
    count = [0] * len(places)
    for at, row in rows:
        count[at] += 1
        if count[at] <= limit:
            register, place = places[at]
            found.append(models.Referrer(register, place.field, row.key, title(row.key, row.item), place.value))
    return found, any(n > limit for n in count)


def _places(c: RouteContext, key: str) -> list[tuple[str, links.ReferencePlace]]:
    """The (register, field and value) that would be a link to a record, of any register here."""
    own, found = c.view.name, []
    for name, cached in c.registers.cached.items():
        view = c.view if name == own else cached.view
        for column in view.columns:
            texts = [key] if column.register == own and column.name != name else []
            if column.datatype == "curie":
                texts.append(f"{own}:{key}")
            found += [
                (name, links.ReferencePlace(cached.log.id, view.size, column.name, column.many, text)) for text in texts
            ]
    return found[:MAX_REFERRING_FIELDS]
