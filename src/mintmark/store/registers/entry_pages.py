"""Pages of entries: by number (user entries, as v1 counts them), by index (the whole log), of one key, and changes.

A list of entries names items by their hashes. Of an item it reads only whether it is there, and if not, why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.store.connection.sql import load_sql
from mintmark.store.registers.register_store import ABSENCE, COLUMNS, EntryRow, row

if TYPE_CHECKING:
    from mintmark.store.registers.register_store import RegisterStore

COLUMN_COUNT = 8  # of COLUMNS

SQL = load_sql(__package__, "entry_pages", columns=COLUMNS, absence=ABSENCE, columns_before=COLUMNS.replace("e.", "b."))


class Changes(NamedTuple):
    """(before, after) of each record that changed, and the index where the next page starts; None: no more."""

    rows: list[tuple[EntryRow | None, EntryRow]]
    start: int | None


async def numbered(store: RegisterStore, log: int, size: int, start: int, limit: int) -> list[EntryRow]:
    """User entries from number `start` on."""
    return await store.rows(SQL["numbered"], {"log": log, "size": size, "start": start, "limit": limit})


async def indexed(store: RegisterStore, log: int, size: int, start: int, limit: int) -> list[EntryRow]:
    """Entries of both types from index `start` on; a leaf that is no register entry is left out."""
    return await store.rows(SQL["indexed"], {"log": log, "size": size, "start": start, "limit": limit})


async def trail(store: RegisterStore, log: int, size: int, key: str, after: int, limit: int) -> list[EntryRow]:
    """The entries of a record past index `after` (-1: all), oldest first."""
    return await store.rows(SQL["trail"], {"log": log, "size": size, "key": key, "after": after, "limit": limit})


async def history(store: RegisterStore, log: int, size: int, key: str, limit: int) -> list[EntryRow]:
    """The last entries of a record, newest first."""
    return await store.rows(SQL["history"], {"log": log, "size": size, "key": key, "limit": limit})


async def changes(store: RegisterStore, log: int, before: int, size: int, start: int, limit: int) -> Changes:
    """Records that differ between `before` and `size`, in the order of their last entries, from index `start` on.

    Each comes with its last entry in between and the one before `before`. A page reads one window of entries: it may be
    short, and have a next one.
    """
    window = store.limits.window_entries
    args = {"log": log, "before": before, "size": size, "start": start, "window": window, "limit": limit + 1}
    fetched, cut = await store.fetch_page(SQL["changes"], args)
    rows = [(values[COLUMN_COUNT:], values[:COLUMN_COUNT]) for values in fetched]
    found = [(row(before) if before[0] is not None else None, row(after)) for before, after in rows]
    if cut and len(found) <= limit:
        return Changes(found, found[-1][1].index + 1)
    if len(found) > limit:
        return Changes(found[:limit], found[limit][1].index)
    last, count = (await store.fetch(SQL["window_end"], args))[0]
    return Changes(found, last + 1 if count == window else None)
