"""Whole registers in bounded memory: batches by index, each one query, the next one read while the last is used.

No transaction is held open over a download: what rows below a size say of it changes only by erasure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from mintmark.aio import prefetch
from mintmark.store.connection.sql import load_sql
from mintmark.store.registers.register_store import COLUMNS, STANDS, EntryRow, row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence

    from mintmark.register.definitions import Field
    from mintmark.store.registers.register_store import RegisterStore

    Cells = tuple[Any, ...]  # texts; None where there is no value

T = TypeVar("T")

Types = tuple[str, ...]
BOTH: Types = ("system", "user")

SQL = load_sql(__package__, "bulk", columns=COLUMNS, stands=STANDS)


async def records(store: RegisterStore, log: int, size: int) -> AsyncIterator[list[EntryRow]]:
    """The records that stand at `size`, by index."""
    args = {"log": log, "size": size}
    async for rows in _batches(store, SQL["records"], args, 0, row, _after_index):
        yield rows


async def cells(store: RegisterStore, log: int, size: int, columns: Sequence[Field]) -> AsyncIterator[list[Cells]]:
    """The records that stand at `size`, by number: number twice, timestamp, key, and the columns' values."""
    names = {f"column{at}": column.name for at, column in enumerate(columns)}
    values = [_cell(name, column.many) for name, column in zip(names, columns, strict=True)]
    query = SQL["cells"].format(values=", ".join(values) or "null")
    args = {"log": log, "size": size, **names}
    async for rows in _batches(store, query, args, 1, tuple, _after_number):
        yield rows


async def with_value(store: RegisterStore, log: int, size: int, fields: Iterable[str], value: str) -> EntryRow | None:
    """A record that stands at `size` and has this value in one of these fields."""
    values = [orjson.dumps({str(log): {field: value}}).decode() for field in fields]
    rows = await store.rows(SQL["with_value"], {"size": size, "values": values})
    return rows[0] if rows else None


async def numbered(store: RegisterStore, log: int, size: int, start: int, limit: int) -> list[EntryRow]:
    """Some of the records that stand at `size`, in the order of `cells`, from a number on."""
    return await store.rows(SQL["numbered"], {"log": log, "size": size, "start": start, "limit": limit})


def _cell(parameter: str, many: bool) -> str:
    """The expression of a column; `parameter` holds the name of its field."""
    return f"(e.item -> %({parameter})s::text)::text" if many else f"e.item ->> %({parameter})s::text"


async def entries(
    store: RegisterStore, log: int, start: int, size: int, types: Types = BOTH, *,
    own: bool = True, items_once: bool = False,
) -> AsyncIterator[list[EntryRow]]:  # fmt: skip
    """The entries [start, size) of these types; with `items_once`, only the first one that names an item.

    Without `own`, entries by which the log speaks of itself are left out.
    """
    args = {"log": log, "size": size, "types": list(types), "first": start, "own": own}
    query = SQL["entries_items_once" if items_once else "entries"]
    async for rows in _batches(store, query, args, start, row, _after_index):
        yield rows


async def first_inexpressible(store: RegisterStore, log: int, start: int, size: int, types: Types) -> EntryRow | None:
    """The first entry that an RSF file cannot express."""
    args = {"log": log, "start": start, "size": size, "types": list(types)}
    rows = await store.rows(SQL["first_inexpressible"], args)
    return rows[0] if rows else None


def _after_index(row: EntryRow) -> int:
    return row.index + 1


def _after_number(row: Cells) -> int:
    return int(row[0]) + 1


def _batches(
    store: RegisterStore, query: str, args: dict[str, Any], start: int,
    make: Callable[[tuple[Any, ...]], T], following: Callable[[T], int],
) -> AsyncGenerator[list[T], None]:  # fmt: skip
    """The rows of a query from `start` on, in batches; `following` tells where the rows after a row start."""
    batch_rows = store.limits.batch_rows

    async def one_by_one() -> AsyncGenerator[list[T], None]:
        at, more = start, True
        while more:
            found, cut = await store.fetch_batch(query, {**args, "start": at, "limit": batch_rows})
            rows = [make(values) for values in found]
            more = cut or len(rows) == batch_rows
            if rows:
                at = following(rows[-1])
                yield rows

    return prefetch(one_by_one())
