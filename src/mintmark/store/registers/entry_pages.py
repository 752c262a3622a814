"""Pages of entries: by number (the user entries, as v1 counts them), by index (all of the log), and of one key.

A list of entries names items by their hashes: of an item itself it is read whether it is still there, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.store.registers.register_store import COLUMNS, EntryRow

if TYPE_CHECKING:
    from mintmark.store.registers.register_store import RegisterStore

BARE = COLUMNS.replace("e.item::text", "case when e.item is not null then '{}' end")

NUMBERED = f"""
    select {BARE} from entry e where log = %(log)s and type = 'user' and number >= %(start)s and index < %(size)s
    order by number limit %(limit)s"""  # noqa: S608
LOG = f"""
    select {BARE} from entry e where log = %(log)s and index >= %(start)s and index < %(size)s and type is not null
    order by index limit %(limit)s"""  # noqa: S608
TRAIL = f"""
    select {BARE} from entry e where log = %(log)s and type = 'user' and key = %(key)s and index < %(size)s
    and index > %(after)s order by index limit %(limit)s"""  # noqa: S608
HISTORY = f"""
    select {COLUMNS} from entry e where log = %(log)s and type = 'user' and key = %(key)s and index < %(size)s
    order by index desc limit %(limit)s"""  # noqa: S608


async def numbered(store: RegisterStore, log: int, size: int, start: int, limit: int) -> list[EntryRow]:
    """User entries from number `start` on."""
    return await store.rows(NUMBERED, {"log": log, "size": size, "start": start, "limit": limit})


async def indexed(store: RegisterStore, log: int, size: int, start: int, limit: int) -> list[EntryRow]:
    """Entries of either type from index `start` on; a leaf that is no register entry is left out."""
    return await store.rows(LOG, {"log": log, "size": size, "start": start, "limit": limit})


async def trail(store: RegisterStore, log: int, size: int, key: str, after: int, limit: int) -> list[EntryRow]:
    """The entries of a record past index `after` (-1: all), oldest first."""
    return await store.rows(TRAIL, {"log": log, "size": size, "key": key, "after": after, "limit": limit})


async def history(store: RegisterStore, log: int, size: int, key: str, limit: int) -> list[EntryRow]:
    """The last entries of a record, newest first."""
    return await store.rows(HISTORY, {"log": log, "size": size, "key": key, "limit": limit})
