"""Registers as rows, for the read API: every query names the size that it reads at, which is never past a head.

Lists (`record_pages`, `entry_pages`), links (`link_rows`) and bulk (`bulk_rows`) are beside this; here is what one
index probe answers. Raises Unavailable where the database cannot be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from psycopg.errors import QueryCanceled

from mintmark.errors import MintmarkError
from mintmark.store.log.log_store import LogStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.register.item import Item
    from mintmark.store.log.tile_cache import Address

COLUMNS = "e.index, e.type, case when e.type = 'user' then e.number end, e.key, e.timestamp, e.item_hash, e.item::text"
# The register as of a size: the latest entry of each key, but for those that end their record.
STOOD = """e.type = 'user' and e.index < %(size)s and e.item_hash is not null
    and (e.superseded_by is null or e.superseded_by >= %(size)s)"""

# What is asked for comes as one JSON text: psycopg takes longer to print three arrays than Postgres to answer.
_ASKED = "jsonb_to_recordset(%(asked)s::jsonb) as k(at int, log int, size bigint, key text)"
KEYS = f"""
    select k.at, {COLUMNS} from {_ASKED}
    cross join lateral (select * from entry e where e.log = k.log and e.type = 'user' and e.key = k.key
                        and e.index < k.size order by e.index desc limit 1) e"""  # noqa: S608
EXISTING = f"""
    select k.at from {_ASKED}
    cross join lateral (select item_hash from entry e where e.log = k.log and e.type = 'user' and e.key = k.key
                        and e.index < k.size order by e.index desc limit 1) as e
    where e.item_hash is not null"""  # noqa: S608
NUMBER = (
    f"select {COLUMNS} from entry e where log = %(log)s and type = 'user' and number = %(number)s and index < %(size)s"  # noqa: S608
)
INDEX = f"select {COLUMNS} from entry e where log = %(log)s and index = %(index)s and type is not null"  # noqa: S608
_NAMING = f"select {COLUMNS} from entry e where log = %(log)s and item_hash = %(digest)s and index < %(size)s"  # noqa: S608
# An entry that still has it, else one whose item was erased.
ITEM = f"""
    ({_NAMING} and item is not null order by index limit 1) union all ({_NAMING} order by index limit 1) limit 1"""
# Three ranges of keys, so that a million erasures are not read to find ten definitions.
DEFINITIONS = f"""
    select {COLUMNS} from entry e
    where log = %(log)s and type = 'system' and (key < 'erase:' or key >= 'erase;')
        and index >= %(start)s and index < %(size)s
    order by index"""  # noqa: S608
COUNTS = """
    select e.number, e.live, (
        select u.timestamp from entry u where u.log = e.log and u.type = 'user' and u.number = e.number)
    from entry e where e.log = %(log)s and e.index = %(index)s"""
# Where a time ends: after the last user entry up to it, and before the first younger one. In between are only system
# entries; their times are in no order, so the first younger one is looked for, among so many that it costs little.
SIZE_AT = """
    with known as (
        select coalesce((
            select index + 1 from entry where log = %(log)s and type = 'user' and timestamp <= %(time)s
            and index < %(size)s order by timestamp desc, index desc limit 1), 0) as low,
        coalesce((
            select index from entry where log = %(log)s and type = 'user' and timestamp > %(time)s
            and index < %(size)s order by timestamp, index limit 1), %(size)s::bigint) as high)
    select coalesce(min(e.index) filter (where e.timestamp > %(time)s), min(known.high))
    from known left join lateral (
        select index, timestamp from entry
        where log = %(log)s and index >= known.low and index < known.high order by index limit 5000) as e on true"""
# Number by number: asked for all at once and in order, a planner without statistics walks the whole log.
GROWTH = """
    select e.index, e.timestamp, e.live from unnest(%(numbers)s::bigint[]) as n(number) cross join lateral (
        select index, timestamp, live from entry
        where log = %(log)s and type = 'user' and number = n.number and index < %(size)s limit 1) as e
    order by e.index"""
NOTE = """
    select size, note from checkpoint where log = %(log)s and size >= %(least)s and size <= %(most)s
    order by size limit 1"""


class EntryRow(NamedTuple):
    """An entry. `number` counts user entries from 1, this one included (None: a system entry).

    `item_hash` is None for a tombstone; `item` is None then, and once it was erased.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a row
    type: str
    number: int | None
    key: str
    timestamp: str
    item_hash: bytes | None
    item: Item | None

    @property
    def ended(self) -> bool:
        """Whether the entry ends its record."""
        return self.item_hash is None

    @property
    def erased(self) -> bool:
        """Whether the item was erased."""
        return self.item_hash is not None and self.item is None


class RegisterCounts(NamedTuple):
    """User entries and records that stand as of a size, and the last user entry's timestamp."""

    entries: int
    records: int
    updated: str | None


class Lookup(NamedTuple):
    """A record to find: the log's id, the size to look at, and the key."""

    log: int
    size: int
    key: str


def row(values: Sequence[Any]) -> EntryRow:
    """A row as COLUMNS selects it."""
    index, kind, number, key, timestamp, digest, item = values
    return EntryRow(index, kind, number, key, timestamp, digest, None if item is None else orjson.loads(item))


def _asked(lookups: Sequence[Lookup]) -> str:
    asked = [{"at": at, "log": log, "size": size, "key": key} for at, (log, size, key) in enumerate(lookups)]
    return orjson.dumps(asked).decode()


class RegisterStore(LogStore):
    """Reads registers from one read database."""

    async def rows(self, query: str, args: Mapping[str, Any]) -> list[EntryRow]:
        """The rows of a query of COLUMNS."""
        return [row(values) for values in await self._fetch(query, args)]

    async def fetch(self, query: str, args: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of any other query of this package."""
        return await self._fetch(query, args)

    async def fetch_within(self, seconds: float, query: str, args: Mapping[str, Any]) -> list[tuple[Any, ...]] | None:
        """The rows of a query that is given up after so long: None."""
        async with self.pool.connection() as conn, conn.cursor(binary=True) as cursor:
            try:
                async with conn.transaction():
                    await cursor.execute(f"set local statement_timeout = {round(seconds * 1000)}")
                    await cursor.execute(query, args)
                    return await cursor.fetchall()
            except QueryCanceled:
                return None

    async def latest(self, lookups: Sequence[Lookup]) -> dict[int, EntryRow]:
        """The latest entry of each key, by its place in `lookups`; a tombstone too. Keys without one are left out."""
        return {at: row(values) for at, *values in await self._fetch(KEYS, {"asked": _asked(lookups)})}

    async def existing(self, lookups: Sequence[Lookup]) -> set[int]:
        """The places in `lookups` of the records that stand."""
        return {at for (at,) in await self._fetch(EXISTING, {"asked": _asked(lookups)})}

    async def by_number(self, log: int, size: int, number: int) -> EntryRow | None:
        """The user entry of a number (from 1)."""
        return await self._one(NUMBER, log=log, size=size, number=number)

    async def by_index(self, log: int, index: int) -> EntryRow | None:
        """The entry at an index, which the caller knows to be below the head."""
        return await self._one(INDEX, log=log, index=index)

    async def by_item(self, log: int, size: int, digest: bytes) -> EntryRow | None:
        """The first entry that names an item by its hash, and has it if any does."""
        return await self._one(ITEM, log=log, size=size, digest=digest)

    async def definitions(self, log: int, start: int, size: int) -> list[EntryRow]:
        """The system entries [start, size) that define something, oldest first."""
        return await self.rows(DEFINITIONS, {"log": log, "start": start, "size": size})

    async def counts(self, log: int, size: int) -> RegisterCounts:
        """What stands as of a size."""
        if size == 0:
            return RegisterCounts(0, 0, None)
        rows = await self._fetch(COUNTS, {"log": log, "index": size - 1})
        if not rows:
            raise MintmarkError(f"entry {size - 1} of log {log} is lost; run mintmark fsck")
        return RegisterCounts(*rows[0])

    async def size_at(self, log: int, size: int, time: str) -> int:
        """How many entries there are up to `time`: the register as of then.

        User entries count by their own clock, and the system entries between two of them by theirs.
        """
        found: int = (await self._fetch(SIZE_AT, {"log": log, "size": size, "time": time}))[0][0]
        return found

    async def growth(self, log: int, size: int, numbers: Sequence[int]) -> list[tuple[int, str, int]]:
        """(index, timestamp, records that stood) at these numbers of user entries."""
        return await self._fetch(GROWTH, {"log": log, "size": size, "numbers": list(numbers)})

    async def note(self, log: int, least: int, most: int) -> tuple[int, bytes] | None:
        """The smallest accepted head of at least `least` entries, up to `most`: its size and note."""
        rows = await self._fetch(NOTE, {"log": log, "least": least, "most": most})
        return (rows[0][0], rows[0][1]) if rows else None

    async def v1_tiles(self, addresses: Sequence[Address]) -> dict[int, bytes]:
        """Tiles of the trees over the user entries in their v1 form, as `tiles_at` gives those of the logs."""
        return await self._tiles_at("v1_tile", addresses)

    async def _one(self, query: str, **args: Any) -> EntryRow | None:
        rows = await self._fetch(query, args)
        return row(rows[0]) if rows else None
