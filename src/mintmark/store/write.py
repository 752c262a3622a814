"""The statements of one integrating transaction, in order. Used by the read store; the caller holds the transaction.

The last bundle of a log grows at its end (`entries || new`): what was stored of it, an erased item's absence included,
is never taken from a source a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import MintmarkError
from mintmark.tlog import bundle as bundles
from mintmark.tlog import kernel
from mintmark.tlog.kernel import HASH, WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow

    from mintmark.store.model import Head, TileKey
    from mintmark.store.read_model import Rows
    from mintmark.tlog.trust import Bundle, VerifiedChunk

    Connection = AsyncConnection[TupleRow]

COPY_HEADER, COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
COPY_BUNDLES = "copy bundle (log, index, width, entries, items) from stdin (format binary)"
COPY_LEAVES = "copy entry (log, index, leaf_hash) from stdin (format binary)"
COPY_ENTRIES = """
    copy entry (log, index, leaf_hash, type, key, timestamp, item_hash, item, superseded_by, number, live)
    from stdin (format binary)"""

PUT_TILES = """
    insert into {table} (log, level, index, width, hashes)
    select %s, * from unnest(%s::smallint[], %s::bigint[], %s::smallint[], %b::bytea[])
    on conflict (log, level, index) do update set width = excluded.width, hashes = excluded.hashes"""
GROW_BUNDLE = """
    update bundle set width = %s, entries = entries || %b, items = items || %b
    where log = %s and index = %s and width = %s"""
# One probe a key: its last entry, however many it has had.
SUPERSEDE = """
    update entry e set superseded_by = k.at
    from unnest(%(types)s::text[], %(keys)s::text[], %(at)s::bigint[]) as k(type, key, at)
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
HEAD = """
    insert into head (log, size, root, note) values (%(log)s, %(size)s, %(root)s, %(note)s)
    on conflict (log) do update set size = excluded.size, root = excluded.root, note = excluded.note, at = now()"""
CHECKPOINT = """
    insert into checkpoint (log, size, note) values (%(log)s, %(size)s, %(note)s)
    on conflict (log, size) do update set note = excluded.note"""
NOTIFY = "select pg_notify('mintmark_head', %s)"


class PriorKey(NamedTuple):
    """A key that had an entry before the batch, and whether its record stood."""

    type: str
    key: str
    stood: bool


async def log_rows(conn: Connection, log: int, chunks: Sequence[VerifiedChunk]) -> None:
    """Tiles and bundles of verified chunks that follow one another.

    Raises MintmarkError where the last bundle is not as wide as the commit before left it.
    """
    if not chunks:
        return
    tiles: dict[TileKey, bytes] = {}
    for chunk in chunks:
        tiles.update(chunk.tiles)
    await put_tiles(conn, "tile", log, tiles)
    rows = [row for chunk in chunks for row in chunk.bundles]
    if held := chunks[0].start % WIDTH:
        row = rows.pop(0)
        entries, items = _tail(row.entries, held), _tail(row.items, held)
        grown = await conn.execute(GROW_BUNDLE, (row.width, entries, items, log, row.index, held))
        if grown.rowcount != 1:
            raise MintmarkError(f"bundle {row.index} of log {log} has not the {held} entries it had; run mintmark fsck")
    if rows:
        await put_bundles(conn, log, rows)


def _tail(bundle: bytes, count: int) -> bytes:
    return bundle[len(bundles.take(bundle, count)) :] if bundle else b""


async def put_bundles(conn: Connection, log: int, rows: Sequence[Bundle]) -> None:
    """Writes new bundles. By COPY: as parameters, arrays of megabytes are built twice."""
    async with conn.cursor() as cursor, cursor.copy(COPY_BUNDLES) as copy:
        copy.set_types(["int4", "int8", "int2", "bytea", "bytea"])
        for row in rows:
            await copy.write_row((log, row.index, row.width, row.entries, row.items))


async def put_tiles(conn: Connection, table: str, log: int, tiles: Mapping[TileKey, bytes]) -> None:
    """Writes tiles, each at its new width."""
    if tiles:
        levels, indices = [k[0] for k in tiles], [k[1] for k in tiles]
        widths, hashes = [len(h) // HASH for h in tiles.values()], list(tiles.values())
        await conn.execute(PUT_TILES.format(table=table), (log, levels, indices, widths, hashes), binary=True)


async def leaf_rows(conn: Connection, log: int, chunks: Sequence[VerifiedChunk]) -> None:
    """An opaque log's projection: position and leaf hash."""
    if chunks:
        await copy_leaves(conn, log, [(chunk.start, chunk.hashes) for chunk in chunks])


async def copy_leaves(conn: Connection, log: int, leaves: Sequence[tuple[int, bytes]]) -> None:
    """Rows of an opaque log: runs of leaf hashes, each from an index on."""
    async with conn.cursor() as cursor, cursor.copy(COPY_LEAVES) as copy:
        await copy.write(COPY_HEADER)
        for start, hashes in leaves:
            await copy.write(kernel.copy_rows(log, start, hashes))
        await copy.write(COPY_END)


async def register_rows(conn: Connection, log: int, rows: Rows) -> None:
    """A register's projection. Keys that had an entry are superseded first: their state decides the counts of new rows.

    Items are erased last, when the rows and bundles that may hold them are there, those of this same batch included.
    """
    first = rows.first_keys()
    prior: list[PriorKey] = []
    if first:
        types, keys, at = [k[0] for k in first], [k[1] for k in first], list(first.values())
        cursor = await conn.execute(SUPERSEDE, {"types": types, "keys": keys, "at": at, "log": log})
        prior = [PriorKey(*row) for row in await cursor.fetchall()]
    async with conn.cursor() as cursor, cursor.copy(COPY_ENTRIES) as copy:
        await copy.write(COPY_HEADER + rows.finish(prior) + COPY_END)
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


async def head(conn: Connection, log: int, new: Head) -> None:
    """Shows everything below the new head to readers, and tells who listens."""
    values = {"log": log, "size": new.size, "root": new.root, "note": new.note}
    await conn.execute(HEAD, values)
    await conn.execute(CHECKPOINT, values)
    await conn.execute(NOTIFY, (str(log),))
