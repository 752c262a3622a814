"""Pages of records, each read in work that does not grow with the register.

A page ends where `limit` records were found, or where WINDOW entries were looked at: it may be short, even empty, and
have a next one. A value that few records have is found by its index and sorted; one that many have, by walking the
entries in order, for then the next one is never far.

    key      by key, ascending: the order stays the same while the register grows
    newest   by index, descending
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from mintmark.store.register_store import COLUMNS, STOOD, Row

if TYPE_CHECKING:
    from mintmark.store.register_store import RegisterStore

Order = Literal["key", "newest"]

WINDOW = 20_000  # entries looked at for one page
FEW = 2_000  # records that are found by a value and sorted
ALL_OF_IT = 2**63 - 1  # as a cursor's index: past every entry of its key

# Per order: what is beyond the cursor, and the order that the index gives. The index is of entries with a key: that it
# fits follows from `>=` for the planner, and not from the comparison of rows.
ORDERS: dict[Order, tuple[str, str]] = {
    "key": ("e.key >= %(key)s and (e.key, e.index) > (%(key)s, %(entry)s)", "e.key, e.index"),
    "newest": ("e.index < %(entry)s", "e.index desc"),
}
VALUE = "(scoped(e.log, e.item) @> any(%(value)s::jsonb[]))"
WORDS = "(words(e.log, e.item) @@ %(words)s::tsquery)"
ALL = "true"

PAGE = """
    select {columns} from (select * from entry e where e.log = %(log)s and e.type = 'user' and {beyond}
                           order by {order} limit %(window)s) as e
    where {stood} and {match} order by {order} offset %(offset)s limit %(limit)s"""
EDGE = """
    select key, index, n from (
        select e.key, e.index, row_number() over (order by {order}) as n from entry e
        where e.log = %(log)s and e.type = 'user' and {beyond} order by {order} limit %(window)s) as e
    where n = %(window)s"""  # an entry, of which key's others may be beyond the window
HOW_MANY = """
    select count(*) from (select from entry e where {match} and {stood} limit %(few)s + 1) as e"""
FOUND = """
    with e as materialized (select * from entry e where {match} and {stood})
    select {columns} from e where {beyond} order by {order} offset %(offset)s limit %(limit)s"""
# What a word is to the index: none, one, or several where it has signs in it.
QUERY = """
    select nullif(plainto_tsquery('simple', t.text)::text, '')
    from unnest(%(texts)s::text[]) with ordinality as t(text, at) order by t.at"""


class Match(NamedTuple):
    """Which records: a condition of this module, and its argument."""

    condition: str
    args: dict[str, Any]


EVERY = Match(ALL, {})


class Cursor(NamedTuple):
    """Where a page begins: by key, past the entry `entry` of `key`; the newest first, before the entry `entry`."""

    key: str
    entry: int  # its index


class Found(NamedTuple):
    """Records in order. `after` is where the next page begins; None: there is no more. `total` where it is known."""

    rows: list[Row]
    after: Cursor | None
    total: int | None


def has_value(log: int, field: str, value: str) -> Match:
    """The records a field of which has this value, or has it among its values."""
    items = [orjson.dumps({str(log): {field: shape}}).decode() for shape in (value, [value])]
    return Match(VALUE, {"value": items})


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
    return Match(WORDS, {"words": " & ".join([f"'log {log}'", *(f"({' | '.join(part)})" for part in parts)])})


def _variants(word: str) -> list[str]:
    """How a word may be written in the index: a database of locale C makes only ASCII letters small."""
    if word.isascii():
        return [word]
    return list(dict.fromkeys([word.lower(), word[0].upper() + word[1:].lower(), word.upper()]))


async def page(
    store: RegisterStore, log: int, size: int, order: Order, after: Cursor | None, limit: int, offset: int = 0,
    match: Match = EVERY,
) -> Found:  # fmt: skip
    """The records that stand at `size` and match, beyond the cursor `after`, `offset` of them skipped."""
    beyond, by = ORDERS[order]
    parts = {"columns": COLUMNS, "stood": STOOD, "match": match.condition, "beyond": beyond, "order": by}
    start = after or Cursor("", size)
    args = {
        "log": log,
        "size": size,
        "key": start.key,
        "entry": start.entry,
        "window": WINDOW,
        "offset": offset,
        "limit": limit + 1,
        "few": FEW,
    }
    args.update(match.args)
    total = await _few(store, parts, args) if match.condition != ALL else None
    query = PAGE if total is None else FOUND
    rows = await store.rows(query.format(**parts), args)
    if len(rows) > limit:
        return Found(rows[:limit], _cursor(order, rows[limit - 1]), total)
    return Found(rows, None if total is not None else await _edge(store, parts, args), total)


async def _few(store: RegisterStore, parts: dict[str, str], args: dict[str, Any]) -> int | None:
    """How many records match; None where they are too many to be sorted."""
    count: int = (await store.fetch(HOW_MANY.format(**parts), args))[0][0]
    return count if count <= FEW else None


async def _edge(store: RegisterStore, parts: dict[str, str], args: dict[str, Any]) -> Cursor | None:
    """Where the window of a short page ended; None where it reached the end."""
    rows = await store.fetch(EDGE.format(**parts), args)
    return Cursor(rows[0][0], rows[0][1]) if rows else None


def _cursor(order: Order, row: Row) -> Cursor:
    return Cursor(row.key, ALL_OF_IT if order == "key" else row.index)
