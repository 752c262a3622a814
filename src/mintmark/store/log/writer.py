"""The writes of a log's own rows by a mirror: new rows, and rows that grow. The caller holds the transaction.

New rows are of this batch alone, and can be sent while the batch before is being committed. Rows that grow, the last
bundle and the unfinished tiles, are written after that commit: two transactions that wait for each other's rows would
not end.

The last bundle grows at its end (`entries || new`): its stored part, the absence of an erased item included, is never
taken from a source a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError
from mintmark.store.connection.sql import load_sql
from mintmark.tlog import bundle as bundles
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import LiteralString, Self

    from mintmark.store.connection.pool import Connection, Cursor
    from mintmark.store.log.model import TileKey
    from mintmark.tlog.trust import Bundle, VerifiedChunk

    Tiles = Mapping[TileKey, bytes]

SQL = load_sql(__package__, "writer")


@dataclass(frozen=True, slots=True)
class LogRows:
    """The tiles and bundles of consecutive verified chunks."""

    new_tiles: Tiles
    new_bundles: Sequence[Bundle]
    grown_tiles: Tiles
    grown_bundle: Bundle | None
    held: int  # entries of `grown_bundle` that are stored already

    @classmethod
    def of(cls, chunks: Sequence[VerifiedChunk]) -> Self:
        """The rows of these chunks."""
        start = chunks[0].start if chunks else 0
        tiles = {key: hashes for chunk in chunks for key, hashes in chunk.tiles.items()}
        rows = [row for chunk in chunks for row in chunk.bundles]
        grown = {key: hashes for key, hashes in tiles.items() if key[1] * TILE_WIDTH < start >> 8 * key[0]}
        new = {key: hashes for key, hashes in tiles.items() if key not in grown}
        held = start % TILE_WIDTH
        return cls(new, rows[1:] if held else rows, grown, rows[0] if held else None, held)

    def check_grown(self, log: int, grown: Cursor | None) -> None:
        """Raises MintmarkError where the last bundle was not as wide as the commit before left it."""
        if (row := self.grown_bundle) is not None and (grown is None or grown.rowcount != 1):
            damage = f"bundle {row.index} of log {log} does not hold the {self.held} entries that were stored"
            raise MintmarkError(f"{damage}; run mintmark fsck")


async def put_new(conn: Connection, log: int, rows: LogRows) -> None:
    """Writes the new rows by COPY: as parameters, arrays of megabytes are built twice."""
    if rows.new_tiles:
        query: LiteralString = "copy tile (log, level, index, width, hashes) from stdin (format binary)"
        tiles = ((log, *key, len(hashes) // HASH_BYTES, hashes) for key, hashes in rows.new_tiles.items())
        await _copy(conn, query, ["int4", "int2", "int8", "int2", "bytea"], tiles)
    if rows.new_bundles:
        query = "copy bundle (log, index, width, entries, items) from stdin (format binary)"
        whole = ((log, row.index, row.width, row.entries, row.items) for row in rows.new_bundles)
        await _copy(conn, query, ["int4", "int8", "int2", "bytea", "bytea"], whole)


async def _copy(conn: Connection, query: LiteralString, types: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    async with conn.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(types)
        for row in rows:
            await copy.write_row(row)


async def put_few(conn: Connection, log: int, rows: LogRows) -> None:
    """Writes the new rows one by one: in a pipeline, without a wait for each answer."""
    for (level, index), hashes in rows.new_tiles.items():
        width = len(hashes) // HASH_BYTES
        await conn.execute(
            SQL["insert_tile"], {"log": log, "level": level, "index": index, "width": width, "hashes": hashes}
        )
    for row in rows.new_bundles:
        values = {"index": row.index, "width": row.width, "entries": row.entries, "items": row.items}
        await conn.execute(SQL["insert_bundle"], {"log": log, **values})


async def grow(conn: Connection, log: int, rows: LogRows) -> Cursor | None:
    """Widens the stored rows. Pass the result to `LogRows.check_grown` once its answer is here."""
    await put_tiles(conn, "tile", log, rows.grown_tiles)
    if (row := rows.grown_bundle) is None:
        return None
    tail = {"entries": _tail(row.entries, rows.held), "items": _tail(row.items, rows.held)}
    args = {"log": log, "index": row.index, "width": row.width, "held": rows.held, **tail}
    return await conn.execute(SQL["grow_bundle"], args)


def _tail(bundle: bytes, count: int) -> bytes:
    """A bundle without its first `count` entries."""
    return bundle[len(bundles.take(bundle, count)) :] if bundle else b""


async def put_tiles(conn: Connection, table: str, log: int, tiles: Tiles) -> None:
    """Writes tiles, new or stored, each at its new width."""
    if tiles:
        args = tile_columns(log, tiles)
        await conn.execute(SQL["upsert_tiles"].format(table=table), args, binary=True)


def tile_columns(log: int, tiles: Tiles) -> dict[str, object]:
    """The arguments of the statement `upsert_tiles`."""
    return {
        "log": log,
        "levels": [level for level, _ in tiles],
        "indices": [index for _, index in tiles],
        "widths": [len(hashes) // HASH_BYTES for hashes in tiles.values()],
        "hashes": list(tiles.values()),
    }
