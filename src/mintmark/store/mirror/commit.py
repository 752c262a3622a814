"""The transaction that writes a verified batch.

Crash order: it moves `progress.size` from the value that its caller verified from, or writes nothing. A worker that
lost its lease, or an answer that never came, ends there in Conflict. The move comes first; where the batch before is
still on its way, the new rows go first, and then, as soon as that one is committed, the move. A few entries are sent
with their move in one go: each answer that is waited for is a good part of the time until they are seen.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from psycopg import errors as pg

from mintmark.errors import Conflict
from mintmark.store.log import writer
from mintmark.store.log.writer import LogRows
from mintmark.store.mirror import projection

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mintmark.store.connection.pool import Connection
    from mintmark.store.mirror.model import Batch

RACE = "another worker writes this log"
PATIENCE = 60.0  # seconds that a transaction waits for the one before it
FEW, LITTLE = 1_024, 512 * 2**10  # entries and bytes that INSERT takes sooner than COPY

# Where nothing moves it fails, and what was sent behind it is not done.
MOVE = """
    with moved as (
        update progress
        set size = %(size)s, note = %(note)s, pending = %(pending)s, source = %(source)s, error = null, at = now()
        where log = %(log)s and size = %(old)s and stopped is null
        returning log)
    select 1 / count(*) from moved"""
SETTLE = "update log set kind = %s where id = %s"
# The head does not move over an item that was withheld and that no erasure explains.
SHOW = """
    with shown as (
        insert into head (log, size, root, note) select %(log)s, %(size)s, %(root)b, %(note)b
        where not exists (select from missing where log = %(log)s and by is null)
        on conflict (log) do update set size = excluded.size, root = excluded.root, note = excluded.note, at = now()
        returning log, size, note)
    insert into checkpoint (log, size, note) select log, size, note from shown
    on conflict (log, size) do update set note = excluded.note"""


async def commit_batch(conn: Connection, batch: Batch, before: Awaitable[object] | None = None) -> bool:
    """As `ReadStore.commit_batch`, on a connection."""
    rows = LogRows.of(batch.chunks)
    try:
        async with conn.transaction():
            if _is_small(batch):
                await _committed(before)
                await _in_one_go(conn, batch, rows)
            else:
                await _by_copy(conn, batch, rows, before)
            if batch.rows is not None:  # they supersede those of batches before
                await projection.register_rows(conn, batch.log, batch.rows)
            return await _show(conn, batch)
    except pg.DivisionByZero:
        raise Conflict("another worker moved this log, or it was stopped") from None
    except (pg.DeadlockDetected, pg.SerializationFailure) as error:
        raise Conflict(RACE) from error


def _is_small(batch: Batch) -> bool:
    size = sum(len(row.entries) + len(row.items) for chunk in batch.chunks for row in chunk.bundles)
    return batch.size - batch.old_size <= FEW and size <= LITTLE


async def _in_one_go(conn: Connection, batch: Batch, rows: LogRows) -> None:
    async with conn.pipeline():
        await _move(conn, batch)
        await writer.put_few(conn, batch.log, rows)
        if batch.rows is None:
            await projection.put_few_leaves(conn, batch.log, _leaves(batch))
        grown = await writer.grow(conn, batch.log, rows)
    rows.check_grown(batch.log, grown)


async def _by_copy(conn: Connection, batch: Batch, rows: LogRows, before: Awaitable[object] | None) -> None:
    if before is not None:
        await _new_rows_early(conn, batch, rows)
    await _committed(before)
    await _move(conn, batch)
    if before is None:
        await _new_rows(conn, batch, rows)
    rows.check_grown(batch.log, await writer.grow(conn, batch.log, rows))


async def _move(conn: Connection, batch: Batch) -> None:
    values = {"size": batch.size, "note": batch.note, "pending": batch.pending, "source": batch.source}
    await conn.execute(MOVE, {**values, "log": batch.log, "old": batch.old_size})
    if batch.old_size == 0 and batch.chunks:
        await conn.execute(SETTLE, ("opaque" if batch.rows is None else "register", batch.log))


async def _new_rows(conn: Connection, batch: Batch, rows: LogRows) -> None:
    await writer.put_new(conn, batch.log, rows)
    if batch.rows is None:
        await projection.copy_leaves(conn, batch.log, _leaves(batch))


def _leaves(batch: Batch) -> list[tuple[int, bytes]]:
    return [(chunk.start, chunk.hashes) for chunk in batch.chunks]


async def _new_rows_early(conn: Connection, batch: Batch, rows: LogRows) -> None:
    """Before the move nothing says yet that no other worker wrote them; after it, rows that are there are damage."""
    try:
        await _new_rows(conn, batch, rows)
    except pg.UniqueViolation as error:
        raise Conflict(RACE) from error


async def _show(conn: Connection, batch: Batch) -> bool:
    """Shows everything below the new head to readers; whether it could."""
    if batch.head is None:
        return False
    values = {"log": batch.log, "size": batch.head.size, "root": batch.head.root, "note": batch.head.note}
    return (await conn.execute(SHOW, values)).rowcount == 1


async def _committed(before: Awaitable[object] | None) -> None:
    """Waits for the transaction before this one, if there is one, and raises what it did.

    Not for ever: another worker's transaction may be what that one waits for, and wait for our rows itself. No database
    sees such a circle.
    """
    if before is None:
        return
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(before)
    except TimeoutError:
        raise Conflict(RACE) from None
