"""Whole registers in bounded memory: batches by index, each a query of its own, the next one read while one is used.

No transaction is held open over a download: rows below a size never change what they say of it, but for erasure.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from mintmark.store.register_store import COLUMNS, STOOD, Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.store.register_store import RegisterStore

BATCH = 2_000

RECORDS = f"""
    select {COLUMNS} from entry e where e.log = %(log)s and {STOOD} and e.index >= %(start)s
    order by e.index limit %(limit)s"""  # noqa: S608
ENTRIES = f"""
    select {COLUMNS} from entry e where e.log = %(log)s and e.index >= %(start)s and e.index < %(size)s
    and e.type = any(%(types)s) order by e.index limit %(limit)s"""  # noqa: S608
# Each item once: with the first entry of the range that names it.
ITEMS = f"""
    select {COLUMNS} from entry e where e.log = %(log)s and e.index >= %(start)s and e.index < %(size)s
    and e.type = any(%(types)s) and e.item is not null and not exists (
        select from entry p where p.log = e.log and p.item_hash = e.item_hash and p.index >= %(first)s
        and p.index < e.index and p.item is not null)
    order by e.index limit %(limit)s"""  # noqa: S608
# A tombstone, an erased item, an erasure: no RSF file can say them.
UNSAYABLE = """
    select key, item_hash is null from entry
    where log = %(log)s and index >= %(start)s and index < %(size)s and type = any(%(types)s)
    and (item is null or (type = 'system' and key >= 'erase:' and key < 'erase;')) order by index limit 1"""

Types = tuple[str, ...]
BOTH: Types = ("system", "user")


async def records(store: RegisterStore, log: int, size: int) -> AsyncIterator[list[Row]]:
    """The records that stand at `size`, by index."""
    async for rows in _batches(store, RECORDS, {"log": log, "size": size}, 0):
        yield rows


async def entries(
    store: RegisterStore, log: int, start: int, size: int, types: Types = BOTH, *, items_once: bool = False
) -> AsyncIterator[list[Row]]:
    """The entries [start, size) of these types; with `items_once`, only the first of either type that names an item."""
    args = {"log": log, "size": size, "types": list(types), "first": start}
    async for rows in _batches(store, ITEMS if items_once else ENTRIES, args, start):
        yield rows


async def unsayable(store: RegisterStore, log: int, start: int, size: int, types: Types) -> tuple[str, bool] | None:
    """The first entry that RSF cannot say: its key, and whether it is a tombstone."""
    rows = await store.fetch(UNSAYABLE, {"log": log, "start": start, "size": size, "types": list(types)})
    return (rows[0][0], rows[0][1]) if rows else None


async def _batches(store: RegisterStore, query: str, args: dict[str, object], start: int) -> AsyncIterator[list[Row]]:
    ahead = asyncio.create_task(store.rows(query, {**args, "start": start, "limit": BATCH}))
    try:
        while rows := await ahead:
            if len(rows) < BATCH:
                yield rows
                return
            ahead = asyncio.create_task(store.rows(query, {**args, "start": rows[-1].index + 1, "limit": BATCH}))
            yield rows
    finally:
        ahead.cancel()
        with suppress(asyncio.CancelledError):
            await ahead
