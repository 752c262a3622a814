"""Whole registers in bounded memory: batches by index, each a query of its own, the next one read while one is used.

No transaction is held open over a download: rows below a size never change what they say of it, but for erasure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mintmark.aio import prefetch
from mintmark.store.registers.register_store import COLUMNS, STOOD, EntryRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

    from mintmark.register.definitions import Field
    from mintmark.store.registers.register_store import RegisterStore

    Cells = tuple[Any, ...]  # texts, None where there is no value

T = TypeVar("T")

BATCH = 2_000

RECORDS = f"""
    select {COLUMNS} from entry e where e.log = %(log)s and {STOOD} and e.index >= %(start)s
    order by e.index limit %(limit)s"""  # noqa: S608
# Cells, as tables print them: what Postgres has taken out of an item, nobody has to parse. A list comes as JSON.
CELLS = f"""
    select e.number::text, e.number::text, e.timestamp, e.key, {{values}} from entry e
    where e.log = %(log)s and {STOOD} and e.number >= %(start)s order by e.number limit %(limit)s"""  # noqa: S608
VALUE, LIST = "e.item ->> %({name})s::text", "(e.item -> %({name})s::text)::text"
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


async def records(store: RegisterStore, log: int, size: int) -> AsyncIterator[list[EntryRow]]:
    """The records that stand at `size`, by index."""
    args = {"log": log, "size": size}
    async for rows in _batches(lambda start: store.rows(RECORDS, {**args, **_batch(start)}), _after_index, 0):
        yield rows


async def cells(store: RegisterStore, log: int, size: int, columns: Sequence[Field]) -> AsyncIterator[list[Cells]]:
    """The records that stand at `size`, by number: number twice, timestamp, key, and the columns' values."""
    names = {f"column{at}": column.name for at, column in enumerate(columns)}
    shapes = [(LIST if column.many else VALUE).format(name=name) for name, column in zip(names, columns, strict=True)]
    query = CELLS.format(values=", ".join(shapes) or "null")
    args = {"log": log, "size": size, **names}
    async for rows in _batches(lambda start: store.fetch(query, {**args, **_batch(start)}), _after_number, 1):
        yield rows


async def entries(
    store: RegisterStore, log: int, start: int, size: int, types: Types = BOTH, *, items_once: bool = False
) -> AsyncIterator[list[EntryRow]]:
    """The entries [start, size) of these types; with `items_once`, only the first of either type that names an item."""
    args = {"log": log, "size": size, "types": list(types), "first": start}
    query = ITEMS if items_once else ENTRIES
    async for rows in _batches(lambda at: store.rows(query, {**args, **_batch(at)}), _after_index, start):
        yield rows


async def unsayable(store: RegisterStore, log: int, start: int, size: int, types: Types) -> tuple[str, bool] | None:
    """The first entry that RSF cannot say: its key, and whether it is a tombstone."""
    rows = await store.fetch(UNSAYABLE, {"log": log, "start": start, "size": size, "types": list(types)})
    return (rows[0][0], rows[0][1]) if rows else None


def _batch(start: int) -> dict[str, int]:
    return {"start": start, "limit": BATCH}


def _after_index(row: EntryRow) -> int:
    return row.index + 1


def _after_number(row: Cells) -> int:
    return int(row[0]) + 1


def _batches(
    read: Callable[[int], Awaitable[list[T]]], following: Callable[[T], int], start: int
) -> AsyncGenerator[list[T], None]:
    async def one_by_one() -> AsyncGenerator[list[T], None]:
        at = start
        while rows := await read(at):
            yield rows
            if len(rows) < BATCH:
                return
            at = following(rows[-1])

    return prefetch(one_by_one())
