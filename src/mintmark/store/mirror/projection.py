"""The projection of a log into rows of `entry`, as a mirror writes it; the caller holds the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from mintmark.store.log.writer import put_tiles
from mintmark.store.mirror import copy_rows
from mintmark.tlog import bundle as bundles
from mintmark.tlog.kernel import WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mintmark.store.connection.pool import Connection
    from mintmark.store.mirror.model import ProjectedRows

COPY_HEADER, COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
COPY_LEAVES = "copy entry (log, index, leaf_hash) from stdin (format binary)"
PUT_LEAVES = """
    insert into entry (log, index, leaf_hash)
    select %(log)s, %(start)s::bigint + at, substr(%(hashes)b, 32 * at + 1, 32)
    from generate_series(0, octet_length(%(hashes)b) / 32 - 1) as at"""
COPY_ENTRIES = """
    copy entry (log, index, leaf_hash, type, key, timestamp, item_hash, item, superseded_by, number, live)
    from stdin (format binary)"""

# One probe a key: its last entry, however many it has had. As JSON: psycopg takes five times as long to print arrays.
SUPERSEDE = """
    update entry e set superseded_by = k.at
    from jsonb_to_recordset(%(asked)s::jsonb) as k(type text, key text, at bigint)
    cross join lateral (select index from entry where log = %(log)s and type = k.type and key = k.key and index < k.at
                        order by index desc limit 1) as last
    where e.log = %(log)s and e.index = last.index
    returning e.type, e.key, e.item_hash is not null"""
MISSING = """
    insert into missing (log, index, by) select %s, * from unnest(%s::bigint[], %s::bigint[])
    on conflict (log, index) do update set by = coalesce(missing.by, excluded.by)"""
ERASED_BUNDLE = "select width, items from bundle where log = %s and index = %s for update"
ERASE_BUNDLE = "update bundle set items = %s where log = %s and index = %s"
ERASE_ROWS = "update entry set item = null where log = %s and index = any(%s)"


class PriorKey(NamedTuple):
    """A key that had an entry before the batch, and whether its record stood."""

    type: str
    key: str
    stood: bool


async def copy_leaves(conn: Connection, log: int, leaves: Sequence[tuple[int, bytes]]) -> None:
    """Rows of an opaque log: runs of leaf hashes, each from an index on."""
    async with conn.cursor() as cursor, cursor.copy(COPY_LEAVES) as copy:
        await copy.write(COPY_HEADER)
        for start, hashes in leaves:
            await copy.write(copy_rows.leaf_rows(log, start, hashes))
        await copy.write(COPY_END)


async def put_few_leaves(conn: Connection, log: int, leaves: Sequence[tuple[int, bytes]]) -> None:
    """The same, by requests that need not be waited for."""
    for start, hashes in leaves:
        await conn.execute(PUT_LEAVES, {"log": log, "start": start, "hashes": hashes})


async def register_rows(conn: Connection, log: int, rows: ProjectedRows) -> None:
    """A register's projection. Keys that had an entry are superseded first: their state decides the counts of new rows.

    Items are erased last, when the rows and bundles that may hold them are there, those of this same batch included.
    """
    prior: list[PriorKey] = []
    if rows.first_keys:
        asked = [{"type": type_, "key": key, "at": at} for (type_, key), at in rows.first_keys.items()]
        cursor = await conn.execute(SUPERSEDE, {"asked": orjson.dumps(asked).decode(), "log": log})
        prior = [PriorKey(*row) for row in await cursor.fetchall()]
    async with conn.cursor() as cursor, cursor.copy(COPY_ENTRIES) as copy:
        await copy.write(COPY_HEADER + copy_rows.entry_rows(*rows.finish(prior)) + COPY_END)
    await put_tiles(conn, "v1_tile", log, rows.v1_tiles)
    if rows.missing or rows.erased:
        gone: dict[int, int | None] = dict.fromkeys(rows.missing)
        gone.update(rows.erased)
        await conn.execute(MISSING, (log, list(gone), list(gone.values())))
        await erase(conn, log, list(rows.erased))


async def erase(conn: Connection, log: int, indices: Collection[int]) -> None:
    """Empties the items at these indices, in bundles and rows; leaves, tiles and proofs stay."""
    for index in sorted({i // WIDTH for i in indices}):
        found = await (await conn.execute(ERASED_BUNDLE, (log, index), binary=True)).fetchone()
        if found is not None and found[1]:
            items = bundles.cut(found[1], found[0])
            for at in (i % WIDTH for i in indices if i // WIDTH == index):
                items[at] = b""
            await conn.execute(ERASE_BUNDLE, (bundles.join(items), log, index))
    await conn.execute(ERASE_ROWS, (log, list(indices)))
