"""Pages of records, each read in work that does not grow with the register.

A page ends where `limit` records were found, or where a window of entries was looked at: it may be short, even empty,
and have a next one. A value that few records have is found by its index and sorted; one that many have, by walking the
entries in order, for then the next one is never far. Which it is, is tried: in a large register a short walk, then the
index, which reads all that it knows of a value and is given up where that takes long; then a long walk.

    key      by key, ascending: the order stays the same while the register grows
    newest   by index, descending
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import orjson

from mintmark.store.registers.register_store import COLUMNS, STOOD, EntryRow, RegisterStore, row

Order = Literal["key", "newest"]

WINDOW = 20_000  # entries looked at for one page
FEW = 5_000  # records that are found by a value and sorted
SECONDS = 0.2  # for the index to find them
LARGE = 100_000  # entries
ALL_OF_IT = 2**63 - 1  # as a cursor's index: past every entry of its key

# Per order: what is beyond the cursor, and the order that the index gives. The index is of entries with a key: that it
# fits follows from `>=` for the planner, and not from the comparison of rows.
ORDERS: dict[Order, tuple[str, str]] = {
    "key": ("e.key >= %(key)s and (e.key, e.index) > (%(key)s, %(entry)s)", "e.key, e.index"),
    "newest": ("e.index < %(entry)s", "e.index desc"),
}
# A value by its index, and of an entry at hand: a list contains each of its elements, and a string itself.
VALUE = "scoped(e.log, e.item) @> any(%(scoped)s::jsonb[])"
HAS_VALUE = "(e.item -> %(field)s::text) @> %(value)s::jsonb"
WORDS = "words(e.log, e.item) @@ %(words)s::tsquery"

PAGE = """
    select {columns} from (select * from entry e where e.log = %(log)s and e.type = 'user' and {beyond}
                           order by {order} limit %(window)s) as e
    where {stood} and {match} order by {order} offset %(offset)s limit %(limit)s"""
EDGE = """
    select key, index, n from (
        select e.key, e.index, row_number() over (order by {order}) as n from entry e
        where e.log = %(log)s and e.type = 'user' and {beyond} order by {order} limit %(window)s) as e
    where n = %(window)s"""  # an entry, of which key's others may be beyond the window
# How many there are, up to FEW, and those of the page; a row of nothing but the count where the page is empty.
FOUND = """
    with found as materialized (
        select e.log, e.index, e.key from entry e where {match} and {stood} limit %(few)s + 1)
    select counted.n, {columns} from (select count(*) as n from found) as counted left join (
        select log, index from found as e where {beyond} order by {order} offset %(offset)s limit %(limit)s) as p
        on counted.n <= %(few)s
    left join entry e on e.log = p.log and e.index = p.index order by {order}"""
# What a word is to the index: none, one, or several where it has signs in it.
QUERY = """
    select nullif(plainto_tsquery('simple', t.text)::text, '')
    from unnest(%(texts)s::text[]) with ordinality as t(text, at) order by t.at"""


class Match(NamedTuple):
    """Which records: a condition that an index serves, the same for an entry at hand, and their arguments.

    `pace` is how many entries are looked at in the time of one that needs no looking at.
    """

    indexed: str
    walked: str
    args: dict[str, Any]
    pace: int = 1


EVERY = Match("", "true", {})


class PageCursor(NamedTuple):
    """Where a page begins: by key, past the entry `entry` of `key`; the newest first, before the entry `entry`."""

    key: str
    entry: int  # its index


class RecordPage(NamedTuple):
    """Records in order. `after` is where the next page begins; None: there is no more. `total` where it is known."""

    rows: list[EntryRow]
    after: PageCursor | None
    total: int | None


def has_value(log: int, field: str, value: str) -> Match:
    """The records a field of which has this value, or has it among its values."""
    items = [orjson.dumps({str(log): {field: shape}}).decode() for shape in (value, [value])]
    return Match(VALUE, HAS_VALUE, {"scoped": items, "field": field, "value": orjson.dumps(value).decode()})


async def has_words(store: RegisterStore, log: int, question: str) -> Match | None:
    """The records that have all these words, the last of which may be a beginning; None where there is no word."""
    variants = [_variants(word) for word in question.split()]
    asked = [(word, text) for word, texts in enumerate(variants) for text in texts]
    found = await store.fetch(QUERY, {"texts": [text for _, text in asked]})
    queries: dict[int, list[str]] = {}
    for (word, _), (query,) in zip(asked, found, strict=True):
        if query is not None:
            queries.setdefault(word, []).append(query)
    if not queries:
        return None
    *whole, last = queries.values()
    parts = [*whole, [f"{query}:*" for query in last]]
    query = " & ".join([f"'log {log}'", *(f"({' | '.join(part)})" for part in parts)])
    return Match(WORDS, WORDS, {"words": query}, pace=10)


def _variants(word: str) -> list[str]:
    """How a word may be written in the index: a database of locale C makes only ASCII letters small."""
    if word.isascii():
        return [word]
    return list(dict.fromkeys([word.lower(), word[0].upper() + word[1:].lower(), word.upper()]))


async def page(
    store: RegisterStore, log: int, size: int, order: Order, after: PageCursor | None, limit: int, offset: int = 0,
    match: Match = EVERY,
) -> RecordPage:  # fmt: skip
    """The records that stand at `size` and match, beyond the cursor `after`, `offset` of them skipped."""
    start = after or PageCursor("", size)
    args = {"log": log, "size": size, "key": start.key, "entry": start.entry, "offset": offset, "limit": limit + 1}
    asked = _Asked(store, order, limit, args | match.args, match)
    if match is EVERY:
        return await asked.walk(WINDOW)
    window = WINDOW // match.pace
    if size > LARGE and len((walked := await asked.walk(window // 10)).rows) == limit:
        return walked
    return await asked.find() or await asked.walk(window)


class _Asked(NamedTuple):
    """A page that was asked for, and the two ways to read it."""

    store: RegisterStore
    order: Order
    limit: int
    args: dict[str, Any]
    match: Match

    async def walk(self, window: int) -> RecordPage:
        """Looks at so many entries in their order."""
        args = self.args | {"window": window}
        rows = await self.store.rows(self._query(PAGE, self.match.walked), args)
        if len(rows) > self.limit:
            return self._page(rows, None)
        edge = await self.store.fetch(self._query(EDGE, ""), args)
        return RecordPage(rows, PageCursor(edge[0][0], edge[0][1]) if edge else None, None)

    async def find(self) -> RecordPage | None:
        """Asks the index, and sorts what it finds; None where that is too much, or takes too long."""
        query = self._query(FOUND, self.match.indexed)
        found = await self.store.fetch_within(SECONDS, query, self.args | {"few": FEW})
        if found is None or found[0][0] > FEW:
            return None
        return self._page([row(values) for _, *values in found if values[0] is not None], found[0][0])

    def _page(self, rows: list[EntryRow], total: int | None) -> RecordPage:
        """One row more than the page has was asked for."""
        if len(rows) <= self.limit:
            return RecordPage(rows, None, total)
        last = rows[self.limit - 1]
        return RecordPage(
            rows[: self.limit], PageCursor(last.key, ALL_OF_IT if self.order == "key" else last.index), total
        )

    def _query(self, query: str, match: str) -> str:
        beyond, order = ORDERS[self.order]
        return query.format(columns=COLUMNS, stood=STOOD, match=match, beyond=beyond, order=order)
