"""Records: pages of all, by a field's value, by words; one, its entries, and what refers to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mintmark.api import models
from mintmark.api.http_request import MAX_NUMBER, shorten, whole
from mintmark.api.linking import segment, title
from mintmark.api.routes.context import missing
from mintmark.errors import Malformed, NotFound
from mintmark.register.entry import MAX_KEY_BYTES
from mintmark.store.registers import entry_pages, links, record_pages
from mintmark.store.registers.record_pages import AFTER_KEY, PageCursor
from mintmark.store.registers.register_store import Lookup

if TYPE_CHECKING:
    from mintmark.api.routes.context import RouteContext
    from mintmark.store.registers.record_pages import Match, Order, RecordPage
    from mintmark.store.registers.register_store import EntryRow

PAGE, MOST = 100, 5_000
HISTORY, REFERRERS, PLACES = 50, 10, 64
MAX_QUESTION = 200  # characters
SORTS: tuple[Order, ...] = ("key", "newest")


async def records(c: RouteContext) -> models.Answer:
    """A page of all records; `name` and `value` as facet."""
    params = c.request.params
    if "name" in params or "value" in params:
        return await facet(c, params.get("name", ""), params.get("value", ""))
    return await _page(c, "/records", record_pages.EVERY_RECORD)


async def facet(c: RouteContext, field: str, value: str) -> models.Answer:
    """A page of the records that have a value. 404 for a field that the register lacks, an empty page for no match."""
    if field not in {column.name for column in c.view.columns}:
        raise missing("field", field, c.view)
    match = record_pages.has_value(c.log, field, value)
    path = f"/records/{segment(field)}/{segment(value)}"
    return await _page(c, path, match, facet=(field, value))


async def search(c: RouteContext) -> models.Answer:
    """A page of the records that have every word of `q`; the last word may be a beginning."""
    question = c.request.params.get("q", "").strip()
    if len(question) > MAX_QUESTION:
        raise Malformed(f"q is at most {MAX_QUESTION} characters")
    match = await record_pages.has_words(c.store, c.log, question)
    if match is None:  # no word in it
        return models.Records(**c.answer("/search"), rows=[], page=models.Page(total=0), query=question)
    return await _page(c, "/search", match, query=question)


async def record(c: RouteContext, key: str) -> models.Answer:
    """One record."""
    row = await latest(c, key)
    dangling = await c.dangling([row])
    path = f"/records/{segment(key)}"
    if c.format != "html":
        return models.Record(**c.answer(path), row=row, dangling=dangling)
    history = await entry_pages.history(c.store, c.log, c.view.size, key, HISTORY + 1)
    found, more = await _referrers(c, key, REFERRERS)
    return models.Record(
        **c.answer(path), row=row, dangling=dangling, history=history[:HISTORY], more_history=len(history) > HISTORY,
        referrers=found, more_referrers=more, titles=await c.titles(row),
    )  # fmt: skip


async def referrers(c: RouteContext, key: str) -> models.Answer:
    """What refers to a record."""
    await latest(c, key)
    found, more = await _referrers(c, key, PAGE)
    page = models.Page(first=1 if found else None, last=len(found) or None, total=None if more else len(found))
    return models.Referrers(**c.answer(f"/records/{segment(key)}/referrers"), key=key, referrers=found, page=page)


async def trail(c: RouteContext, key: str) -> models.Answer:
    """The entries of one record, oldest first: all of them, but in pages where they are more than MOST."""
    after = c.request.params.get("after")
    start = -1 if after is None else whole(after)
    if start is None:
        raise Malformed(f"after is an index, not {shorten(after or '')}")
    rows = await entry_pages.trail(c.store, c.log, c.view.size, key, start, MOST + 1)
    if not rows and start < 0:
        raise missing("record", key, c.view)
    next_ = {"after": str(rows[MOST - 1].index)} if len(rows) > MOST else None
    path = f"/records/{segment(key)}/entries"
    return models.Entries(**c.answer(path), rows=rows[:MOST], page=models.Page(next=next_), key=key)


async def latest(c: RouteContext, key: str) -> EntryRow:
    """The latest entry of a record that stands. Raises NotFound."""
    if len(key.encode()) > MAX_KEY_BYTES:
        raise Malformed(f"a key is at most {MAX_KEY_BYTES} bytes")
    row = await c.readers.latest.get(Lookup(c.log, c.view.size, key))
    if row is None:
        raise missing("record", key, c.view)
    if row.ended:
        raise NotFound(
            f"the record {shorten(key)} ended with entry {row.number}; its entries are at /records/{key}/entries"
        )
    return row


async def _page(c: RouteContext, path: str, match: Match, **more: Any) -> models.Answer:
    number = c.request.number("page-index", 1, 1, 10**9)
    size = c.request.number("page-size", PAGE, 1, MOST)
    order: Order = "newest" if c.request.choice("sort", SORTS) == "newest" else "key"
    offset = (number - 1) * size
    after = _after(c, order)
    if after is None:
        _check_reach(c, offset)
    skip = offset if after is None else 0
    found = await record_pages.page(c.store, c.log, c.view.size, order, after, size, skip, match)
    if not found.rows and number > 1 and after is None:
        raise NotFound(f"there is no page {number}")
    dangling = await c.dangling(found.rows)
    page = _beside(c, found, order, number, size, c.view.records if match is record_pages.EVERY_RECORD else found.total)
    return models.Records(**c.answer(path), rows=found.rows, page=page, dangling=dangling, **more)


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
    if (index := whole(text)) is None:
        raise Malformed(f"after is an index, not {shorten(text)}")
    return PageCursor("", min(index, c.view.size))


def _next(found: RecordPage, order: Order) -> dict[str, str]:
    """The parameters that say where the next page begins."""
    if found.after is None or order == "newest":
        return {"after": str(found.after.entry)} if found.after else {}
    key, index = found.after
    return {"after": key} if index == AFTER_KEY else {"after": key, "past": str(index)}


def _beside(c: RouteContext, found: RecordPage, order: Order, number: int, size: int, total: int | None) -> models.Page:
    """The pages beside; the one before goes by its number, for cursors lead forward only."""
    offset = (number - 1) * size
    kept = {name: text for name, text in c.request.params.items() if name in ("q", "name", "value", "sort")}
    sized = {"page-size": str(size)}
    next_ = None
    if found.after is not None:
        next_ = {"page-index": str(number + 1), **sized, **_next(found, order), **kept}
    back = number > 1 and offset <= c.store.limits.window_entries
    previous = {"page-index": str(number - 1), **sized, **kept} if back else None
    first = offset + 1 if found.rows else None
    return models.Page(next_, previous, first, offset + len(found.rows) if found.rows else None, total)


async def _referrers(c: RouteContext, key: str, limit: int) -> tuple[list[models.Referrer], bool]:
    """Records that refer to a key, at most `limit` for each field that may; and whether there are more."""
    places = _places(c, key)
    rows = await links.referrers(c.store, [place for _, place in places], limit + 1)
    found: list[models.Referrer] = []
    count = [0] * len(places)
    for at, row in rows:
        count[at] += 1
        if count[at] <= limit:
            register, place = places[at]
            found.append(models.Referrer(register, place.field, row.key, title(row), place.value))
    return found, any(n > limit for n in count)


def _places(c: RouteContext, key: str) -> list[tuple[str, links.ReferencePlace]]:
    """The fields, of any register here, that may link to a record of this one."""
    own, found = c.view.name, []
    for name, known in c.registers.known.items():
        view = c.view if name == own else known.view
        for column in view.columns:
            texts = [key] if column.register == own and column.name != name else []
            if column.datatype == "curie":
                texts.append(f"{own}:{key}")
            found += [
                (name, links.ReferencePlace(known.log.id, view.size, column.name, column.many, text)) for text in texts
            ]
    return found[:PLACES]
