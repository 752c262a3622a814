"""Registers as rows, for the read API: the questions that one index probe answers.

Lists (`record_pages`, `entry_pages`), links (`links`) and whole registers (`bulk`) stand beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from psycopg.errors import QueryCanceled

from mintmark.errors import MintmarkError
from mintmark.register.reduce import Erasure
from mintmark.store.connection.pool import stream_rows
from mintmark.store.connection.sql import load_sql
from mintmark.store.log.log_store import LogStore
from mintmark.tlog import bundle
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mintmark.register.item import Item
    from mintmark.store.connection.pool import Pool
    from mintmark.store.log.model import TileAddress

# The register as of a size: the latest entry of each key, except tombstones.
STANDS = """e.type = 'user' and e.index < %(size)s and e.item_hash is not null
    and (e.superseded_by is null or e.superseded_by >= %(size)s)"""

SQL = load_sql(__package__, "register_store")
COLUMNS, ABSENCE = SQL["columns"], SQL["absence"]


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """The bounds of what one request reads."""

    batch_rows: int = 2_000  # of a whole register, read at once
    batch_bytes: int = 2**18  # of them: a reader who is slow has two batches in memory
    page_bytes: int = 10 * 2**20  # of a page; 100 records of the largest size are fewer
    window_entries: int = 20_000  # read for one page
    sorted_records: int = 5_000  # found by the index of values or words, then sorted
    index_seconds: float = 0.2  # given to these indexes
    large_register: int = 100_000  # entries; in a register above this, the cheap ways are tried first


class EntryRow(NamedTuple):
    """An entry. `number` counts user entries from 1 up to and with this one; None for a system entry.

    `item_hash` is None for a tombstone. `item` is None for a tombstone, for an item that an entry erased (`erasure`),
    and for one that is unreadable: bytes that are no item by our grammar, as another mint may have admitted them.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a row
    type: str
    number: int | None
    key: str
    timestamp: str
    item_hash: bytes | None
    item: Item | None
    erasure: Erasure | None = None

    @property
    def ended(self) -> bool:
        """True if the entry ends its record."""
        return self.item_hash is None

    @property
    def erased(self) -> bool:
        """True if the item was erased."""
        return self.erasure is not None

    @property
    def unreadable(self) -> bool:
        """True if the item's bytes are there, and are no item."""
        return self.item_hash is not None and self.item is None and self.erasure is None


class RegisterCounts(NamedTuple):
    """The user entries and the standing records as of a size, and the timestamp of the last user entry."""

    entries: int
    records: int
    updated: str | None


class Lookup(NamedTuple):
    """A record to find: the log's id, the size to read at, and the key."""

    log: int
    size: int
    key: str


def row(values: Sequence[Any]) -> EntryRow:
    """The entry of a row as COLUMNS selects it."""
    index, kind, number, key, timestamp, digest, item, absence = values
    erasure = None if absence is None else Erasure.of(*orjson.loads(absence))
    return EntryRow(index, kind, number, key, timestamp, digest, None if item is None else orjson.loads(item), erasure)


def _json(lookups: Sequence[Lookup]) -> str:
    rows = [{"at": at, "log": log, "size": size, "key": key} for at, (log, size, key) in enumerate(lookups)]
    return orjson.dumps(rows).decode()


class RegisterStore(LogStore):
    """Reads registers from one read database. Raises Unavailable where the database cannot be reached."""

    def __init__(self, pool: Pool, limits: ReadLimits = ReadLimits()) -> None:  # frozen
        super().__init__(pool)
        self.limits = limits

    async def rows(self, query: str, args: Mapping[str, Any]) -> list[EntryRow]:
        """The entries of a query that selects COLUMNS."""
        return [row(values) for values in await self.pool.fetch(query, args)]

    async def fetch(self, query: str, args: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of any other query of this package."""
        return await self.pool.fetch(query, args)

    async def fetch_page(self, query: str, args: Mapping[str, Any]) -> tuple[list[tuple[Any, ...]], bool]:
        """The rows of a query, up to `page_bytes`; True if there are more."""
        return await self.pool.fetch_bytes(query, args, self.limits.page_bytes)

    async def fetch_batch(self, query: str, args: Mapping[str, Any]) -> tuple[list[tuple[Any, ...]], bool]:
        """The rows of a query, up to `batch_bytes`; True if there are more."""
        return await self.pool.fetch_bytes(query, args, self.limits.batch_bytes)

    async def fetch_within(
        self, seconds: float, query: str, args: Mapping[str, Any]
    ) -> tuple[list[tuple[Any, ...]], bool] | None:
        """The page of rows of a query; None where it takes longer than `seconds` and was cancelled."""
        async with self.pool.connection() as conn, conn.cursor(binary=True) as cursor:
            try:
                async with conn.transaction():
                    await cursor.execute(f"set local statement_timeout = {round(seconds * 1000)}")
                    return await stream_rows(cursor, query, args, self.limits.page_bytes)
            except QueryCanceled:
                return None

    async def latest(self, lookups: Sequence[Lookup]) -> dict[int, EntryRow]:
        """The latest entry of each key, tombstones too, by its position in `lookups`; a key without one is left out."""
        return {at: row(values) for at, *values in await self.pool.fetch(SQL["latest"], {"lookups": _json(lookups)})}

    async def existing(self, lookups: Sequence[Lookup]) -> set[int]:
        """The positions in `lookups` of the records that stand."""
        return {at for (at,) in await self.pool.fetch(SQL["existing"], {"lookups": _json(lookups)})}

    async def by_number(self, log: int, size: int, number: int) -> EntryRow | None:
        """The user entry of a number (from 1)."""
        return await self._one(SQL["by_number"], log=log, size=size, number=number)

    async def by_index(self, log: int, index: int) -> EntryRow | None:
        """The entry at an index, which the caller knows to be below the head."""
        query = f"select {COLUMNS} from entry e where log = %(log)s and index = %(index)s and type is not null"  # noqa: S608
        return await self._one(query, log=log, index=index)

    async def by_item(self, log: int, size: int, digest: bytes) -> EntryRow | None:
        """The first entry that names an item by its hash, and still has it if any does."""
        return await self._one(SQL["by_item"], log=log, size=size, digest=digest)

    async def item_bytes(self, log: int, indices: Collection[int]) -> dict[int, bytes]:
        """The items at these indices as they were hashed; empty for a tombstone, and once it is erased."""
        found: dict[int, bytes] = {}
        for number in sorted({index // TILE_WIDTH for index in indices}):
            (row,) = await self.bundles(log, number, number + 1, 1)
            items = bundle.cut(row.items, row.width)
            found.update((index, items[index % TILE_WIDTH]) for index in indices if index // TILE_WIDTH == number)
        return found

    async def definitions(self, log: int, start: int, size: int) -> list[EntryRow]:
        """The system entries [start, size) except erasures and those of the log's own, oldest first."""
        return await self.rows(SQL["definitions"], {"log": log, "start": start, "size": size})

    async def counts(self, log: int, size: int) -> RegisterCounts:
        """The counts as of a size. Raises MintmarkError where the row before it is lost."""
        if size == 0:
            return RegisterCounts(0, 0, None)
        rows = await self.pool.fetch(SQL["counts"], {"log": log, "index": size - 1})
        if not rows:
            raise MintmarkError(f"entry {size - 1} of log {log} is lost; run mintmark fsck")
        return RegisterCounts(*rows[0])

    async def size_at(self, log: int, size: int, time: str) -> int:
        """The size of the register as of `time`, at most `size`.

        User entries count by their own clock, and the system entries between two of them by theirs.
        """
        found: int = (await self.pool.fetch(SQL["size_at"], {"log": log, "size": size, "time": time}))[0][0]
        return found

    async def growth(self, log: int, size: int, numbers: Sequence[int]) -> list[tuple[int, str, int]]:
        """(index, timestamp, standing records) at each of these numbers of user entries."""
        return await self.pool.fetch(SQL["growth"], {"log": log, "size": size, "numbers": list(numbers)})

    async def note(self, log: int, least: int, most: int) -> tuple[int, bytes] | None:
        """The smallest accepted head with `least` <= size <= `most`: its size and note."""
        query = """select size, note from checkpoint where log = %(log)s and size >= %(least)s and size <= %(most)s
            order by size limit 1"""
        rows = await self.pool.fetch(query, {"log": log, "least": least, "most": most})
        return (rows[0][0], rows[0][1]) if rows else None

    async def v1_tiles(self, addresses: Sequence[TileAddress]) -> dict[int, bytes]:
        """Tiles of the trees over the user entries in their v1 form, as `tiles_at` returns those of the logs."""
        return await self._tiles_at("v1_tile", addresses)

    async def _one(self, query: str, **args: Any) -> EntryRow | None:
        rows = await self.pool.fetch(query, args)
        return row(rows[0]) if rows else None
