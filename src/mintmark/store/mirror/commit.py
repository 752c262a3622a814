"""The transaction that writes a verified batch, and the rows of `entry` that it writes.

Crash order: it moves `progress.size` from the value that its caller verified from, or writes nothing. A worker that
lost its lease, or an answer that never came, ends there in Conflict. The move comes first; where the batch before is
still on its way, the new rows go first, and then, as soon as that one is committed, the move. A few entries are sent
with their move in one go: each answer that is waited for is a good part of the time until they are seen.

The rows of a register come after the move: they supersede those of batches before, whose counts they continue.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
from psycopg import errors as pg

from mintmark.errors import Conflict
from mintmark.register.reduce import count_standing
from mintmark.store.connection.sql import load_sql
from mintmark.store.log import writer
from mintmark.store.log.writer import LogRows
from mintmark.store.mirror.copy_rows import entry_rows, leaf_rows
from mintmark.store.mirror.model import Committed
from mintmark.tlog import bundle as bundles
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence

    from mintmark.register.reduce import RegisterRows
    from mintmark.store.connection.pool import Connection
    from mintmark.store.mirror.model import Batch

SQL = load_sql(__package__, "commit")
LOST_RACE = "another worker writes this log"
MAX_WAIT_SECONDS = 60.0  # of a transaction, for the one before it
MAX_INSERT_ENTRIES, MAX_INSERT_BYTES = 1_024, 512 * 2**10  # of a batch that INSERT takes sooner than COPY
COPY_HEADER, COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


async def commit_batch(conn: Connection, batch: Batch, before: Awaitable[Committed] | None = None) -> Committed:
    """As `ReadStore.commit_batch`, on a connection."""
    rows = LogRows.of(batch.chunks)
    try:
        async with conn.transaction():
            if _is_small(batch):
                live = await _wait(before, batch)
                await _insert(conn, batch, rows)
            else:
                live = await _copy(conn, batch, rows, before)
            if batch.rows is not None:
                live = await put_register_rows(conn, batch.log, batch.rows, live, batch.source)
            return Committed(await _show(conn, batch), live)
    except pg.DivisionByZero:
        raise Conflict("another worker moved this log, or it was stopped") from None
    except (pg.DeadlockDetected, pg.SerializationFailure) as error:
        raise Conflict(LOST_RACE) from error


async def copy_leaves(conn: Connection, log: int, leaves: Sequence[tuple[int, bytes]]) -> None:
    """Writes rows of an opaque log: runs of leaf hashes, each from an index on."""
    query = "copy entry (log, index, leaf_hash) from stdin (format binary)"
    async with conn.cursor() as cursor, cursor.copy(query) as copy:
        await copy.write(COPY_HEADER)
        for start, hashes in leaves:
            await copy.write(leaf_rows(log, start, hashes))
        await copy.write(COPY_END)


async def insert_leaves(conn: Connection, log: int, leaves: Sequence[tuple[int, bytes]]) -> None:
    """Writes the same rows, by requests that need not be waited for."""
    for start, hashes in leaves:
        await conn.execute(SQL["put_leaves"], {"log": log, "start": start, "hashes": hashes})


async def put_register_rows(
    conn: Connection, log: int, rows: RegisterRows, live: int, source: str | None = None
) -> int:
    """Writes the projection of a register's entries, before which `live` records stood; how many stand after them.

    `source` is who sent them, if known. The last entries of their keys are superseded first, which says who stood.
    Items are erased last, when the rows and bundles that may hold them are there, those of this same batch included.
    """
    stood = await _supersede(conn, log, rows) if rows.first_keys else set[str]()
    counts = count_standing(rows.rows, stood, live)
    data = entry_rows(log, rows.rows, rows.following, rows.number, counts)
    async with conn.cursor() as cursor, cursor.copy(SQL["copy_entries"]) as copy:
        await copy.write(COPY_HEADER + data + COPY_END)
    await writer.put_tiles(conn, "v1_tile", log, rows.v1_tiles)
    if rows.missing or rows.erased:
        gaps: dict[int, int | None] = dict.fromkeys(rows.missing)
        gaps.update(rows.erased)
        values = {"log": log, "indices": list(gaps), "by": list(gaps.values()), "source": source}
        await conn.execute(SQL["put_missing"], values)
        await erase(conn, log, list(rows.erased))
    return counts[-1] if counts else live


async def erase(conn: Connection, log: int, indices: Collection[int]) -> None:
    """Empties the items at these indices, in bundles and rows; leaves, tiles and proofs stay."""
    for index in sorted({i // TILE_WIDTH for i in indices}):
        query = "select width, items from bundle where log = %s and index = %s for update"
        found = await (await conn.execute(query, (log, index), binary=True)).fetchone()
        if found is not None and found[1]:
            items = bundles.cut(found[1], found[0])
            for at in (i % TILE_WIDTH for i in indices if i // TILE_WIDTH == index):
                items[at] = b""
            query = "update bundle set items = %s where log = %s and index = %s"
            await conn.execute(query, (bundles.join(items), log, index))
    await conn.execute(SQL["erase_rows"], {"log": log, "indices": list(indices)})


async def _supersede(conn: Connection, log: int, rows: RegisterRows) -> set[str]:
    """Supersedes the last entry of each key; the keys of records that stood."""
    keys = [{"type": type_, "key": key, "at": at} for (type_, key), at in rows.first_keys.items()]
    cursor = await conn.execute(SQL["supersede"], {"keys": orjson.dumps(keys).decode(), "log": log})
    return {key for type_, key, stood in await cursor.fetchall() if stood and type_ == "user"}


def _is_small(batch: Batch) -> bool:
    size = sum(len(row.entries) + len(row.items) for chunk in batch.chunks for row in chunk.bundles)
    return batch.size - batch.old_size <= MAX_INSERT_ENTRIES and size <= MAX_INSERT_BYTES


async def _insert(conn: Connection, batch: Batch, rows: LogRows) -> None:
    """Writes a small batch, but for a register's rows: all requests in one go."""
    async with conn.pipeline():
        await _move(conn, batch)
        await writer.put_few(conn, batch.log, rows)
        if batch.rows is None:
            await insert_leaves(conn, batch.log, _leaves(batch))
        grown = await writer.grow(conn, batch.log, rows)
    rows.check_grown(batch.log, grown)


async def _copy(conn: Connection, batch: Batch, rows: LogRows, before: Awaitable[Committed] | None) -> int:
    """Writes a large batch, but for a register's rows; how many records stood before it."""
    if before is not None:
        await _copy_early(conn, batch, rows)
    live = await _wait(before, batch)
    await _move(conn, batch)
    if before is None:
        await _copy_new(conn, batch, rows)
    rows.check_grown(batch.log, await writer.grow(conn, batch.log, rows))
    return live


async def _move(conn: Connection, batch: Batch) -> None:
    values = {"size": batch.size, "note": batch.note, "pending": batch.pending, "source": batch.source}
    await conn.execute(SQL["move"], {**values, "log": batch.log, "old": batch.old_size})
    if batch.old_size == 0 and batch.chunks:  # the first entries settle the kind
        kind = "opaque" if batch.rows is None else "register"
        await conn.execute("update log set kind = %s where id = %s", (kind, batch.log))


async def _copy_new(conn: Connection, batch: Batch, rows: LogRows) -> None:
    await writer.put_new(conn, batch.log, rows)
    if batch.rows is None:
        await copy_leaves(conn, batch.log, _leaves(batch))


def _leaves(batch: Batch) -> list[tuple[int, bytes]]:
    return [(chunk.start, chunk.hashes) for chunk in batch.chunks]


async def _copy_early(conn: Connection, batch: Batch, rows: LogRows) -> None:
    """Before the move nothing says yet that no other worker wrote them; after it, rows that are there are damage."""
    try:
        await _copy_new(conn, batch, rows)
    except pg.UniqueViolation as error:
        raise Conflict(LOST_RACE) from error


async def _show(conn: Connection, batch: Batch) -> bool:
    """Shows everything below the new head to readers; True if it could."""
    if batch.head is None:
        return False
    values = {"log": batch.log, "size": batch.head.size, "root": batch.head.root, "note": batch.head.note}
    return (await conn.execute(SQL["show"], values)).rowcount == 1


async def _wait(before: Awaitable[Committed] | None, batch: Batch) -> int:
    """How many records stand before the batch, once the transaction before it is committed; raises what that did.

    Not for ever: another worker's transaction may be what that one waits for, and wait for our rows itself. No database
    sees such a circle.
    """
    if before is None:
        return batch.live or 0
    try:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            return (await asyncio.shield(before)).live
    except TimeoutError:
        raise Conflict(LOST_RACE) from None
