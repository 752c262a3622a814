"""Pages of records, each read in work that does not grow with the register.

A page ends after `limit` records, `page_bytes`, or a window of entries: it may be short, even empty, and have a next
one. A
value that few records have is found by the index of values, and sorted. A value that many records have is found by a
walk over the entries in order: the next match is never far. Which is the case, trying tells: in a large register first
a short walk, then the index, which reads every entry with the value and is given up after a while, then a long walk.

    key      by key, ascending: the order stays the same while the register grows
    newest   by index, descending
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import orjson

from mintmark.store.connection.sql import load_sql
from mintmark.store.registers.register_store import COLUMNS, STANDS, EntryRow, RegisterStore, row

Order = Literal["key", "newest"]

AFTER_KEY = 2**63 - 1  # as a cursor's index: past every entry of its key

# Per order: the condition on entries beyond the cursor, and the order of the index. The index holds entries with a key;
# the planner concludes that it fits from `>=`, but not from the comparison of rows.
ORDERS: dict[Order, tuple[str, str]] = {
    "key": ("e.key >= %(key)s and (e.key, e.index) > (%(key)s, %(entry)s)", "e.key, e.index"),
    "newest": ("e.index < %(entry)s", "e.index desc"),
}

SQL = load_sql(__package__, "record_pages", columns=COLUMNS, stands=STANDS)


class Match(NamedTuple):
    """A condition on records: as an index serves it, as it is checked on an entry at hand, and its arguments.

    `cost` is the time to check one entry, in times that an entry without a condition takes.
    """

    indexed: str
    walked: str
    args: dict[str, Any]
    cost: int = 1


EVERY_RECORD = Match("", "true", {})


class PageCursor(NamedTuple):
    """Where a page begins: by key, past the entry `entry` of `key`; newest first, before the entry `entry`."""

    key: str
    entry: int  # its index


class RecordPage(NamedTuple):
    """Records in order. `after` is where the next page begins; None: there is no more. `total` where it is known."""

    rows: list[EntryRow]
    after: PageCursor | None
    total: int | None


def has_value(log: int, field: str, value: str) -> Match:
    """The records with this value in a field, or among the values of a field."""
    # A list contains each of its elements, and a string itself.
    indexed = "scoped(e.log, e.item) @> any(%(scoped)s::jsonb[])"
    walked = "(e.item -> %(field)s::text) @> %(value)s::jsonb"
    items = [orjson.dumps({str(log): {field: shape}}).decode() for shape in (value, [value])]
    return Match(indexed, walked, {"scoped": items, "field": field, "value": orjson.dumps(value).decode()})


async def has_words(store: RegisterStore, log: int, question: str) -> Match | None:
    """The records with all words of a question, of which the last may be a prefix; None where it has no word."""
    variants = [_variants(word) for word in question.split()]
    texts = [(word, text) for word, spellings in enumerate(variants) for text in spellings]
    found = await store.fetch(SQL["words"], {"texts": [text for _, text in texts]})
    queries: dict[int, list[str]] = {}
    for (word, _), (query,) in zip(texts, found, strict=True):
        if query is not None:
            queries.setdefault(word, []).append(query)
    if not queries:
        return None
    *whole, last = queries.values()
    parts = [*whole, [f"{query}:*" for query in last]]
    query = " & ".join([f"'log {log}'", *(f"({' | '.join(part)})" for part in parts)])
    condition = "words(e.log, e.item) @@ %(words)s::tsquery"
    return Match(condition, condition, {"words": query}, cost=10)


def _variants(word: str) -> list[str]:
    """The spellings of a word in the index: a database of locale C lowers only ASCII letters."""
    if word.isascii():
        return [word]
    return list(dict.fromkeys([word.lower(), word[0].upper() + word[1:].lower(), word.upper()]))


async def page(
    store: RegisterStore, log: int, size: int, order: Order, after: PageCursor | None, limit: int, offset: int = 0,
    match: Match = EVERY_RECORD,
) -> RecordPage:  # fmt: skip
    """The records that stand at `size` and match, beyond the cursor `after`, without the first `offset` of them."""
    start = after or PageCursor("", size)
    args = {"log": log, "size": size, "key": start.key, "entry": start.entry, "offset": offset, "limit": limit + 1}
    read = _PageRead(store, order, limit, args | match.args, match)
    if match is EVERY_RECORD:
        return await read.walk(store.limits.window_entries)
    window = store.limits.window_entries // match.cost
    if size > store.limits.large_register and len((walked := await read.walk(window // 10)).rows) == limit:
        return walked
    return await read.find() or await read.walk(window)


class _PageRead(NamedTuple):
    """A page to read, and the two ways to read it."""

    store: RegisterStore
    order: Order
    limit: int
    args: dict[str, Any]  # one row more than `limit` is read: then there is a next page
    match: Match

    async def walk(self, window: int) -> RecordPage:
        """Reads `window` entries in their order."""
        args = self.args | {"window": window}
        found, cut = await self.store.fetch_page(self._query("page", self.match.walked), args)
        rows = [row(values) for values in found]
        if cut or len(rows) > self.limit:
            return self._page(rows, cut, None)
        end = await self.store.fetch(self._query("window_end", ""), args)
        return RecordPage(rows, PageCursor(end[0][0], end[0][1]) if end else None, None)

    async def find(self) -> RecordPage | None:
        """Finds the records by the index, and sorts them; None where they are too many, or it takes too long."""
        limits = self.store.limits
        args = self.args | {"max_sorted": limits.sorted_records}
        read = await self.store.fetch_within(limits.index_seconds, self._query("found", self.match.indexed), args)
        if read is None or read[0][0][0] > limits.sorted_records:
            return None
        found, cut = read
        return self._page([row(values) for _, *values in found if values[0] is not None], cut, found[0][0])

    def _page(self, rows: list[EntryRow], cut: bool, total: int | None) -> RecordPage:
        """A page of these rows; `cut`: there are more, which would be too many bytes."""
        if not cut and len(rows) <= self.limit:
            return RecordPage(rows, None, total)
        last = rows[: self.limit][-1]
        after = PageCursor(last.key, AFTER_KEY if self.order == "key" else last.index)
        return RecordPage(rows[: self.limit], after, total)

    def _query(self, name: str, match: str) -> str:
        beyond, order = ORDERS[self.order]
        return SQL[name].format(match=match, beyond=beyond, order=order)
