"""A log's own rows, as a mirror writes them: those that are new, and those that grow; the caller holds the transaction.

New rows are the batch's alone, and can be sent while the batch before is being committed. Those that grow, the last
bundle and the unfinished tiles, are written after it: two transactions that wait for each other's would not end.

The last bundle grows at its end (`entries || new`): what was stored of it, an erased item's absence included, is never
taken from a source a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError
from mintmark.tlog import bundle as bundles
from mintmark.tlog.kernel import HASH, WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import LiteralString, Self

    from mintmark.store.connection.pool import Connection, Cursor
    from mintmark.store.log.model import TileKey
    from mintmark.tlog.trust import Bundle, VerifiedChunk

    Tiles = Mapping[TileKey, bytes]

# By COPY: as parameters, arrays of megabytes are built twice.
COPY_BUNDLES = "copy bundle (log, index, width, entries, items) from stdin (format binary)"
COPY_TILES = "copy tile (log, level, index, width, hashes) from stdin (format binary)"
PUT_TILE = "insert into tile (log, level, index, width, hashes) values (%s, %s, %s, %s, %b)"
PUT_BUNDLE = "insert into bundle (log, index, width, entries, items) values (%s, %s, %s, %b, %b)"
PUT_TILES = """
    insert into {table} (log, level, index, width, hashes)
    select %s, * from unnest(%s::smallint[], %s::bigint[], %s::smallint[], %b::bytea[])
    on conflict (log, level, index) do update set width = excluded.width, hashes = excluded.hashes"""
GROW_BUNDLE = """
    update bundle set width = %s, entries = entries || %b, items = items || %b
    where log = %s and index = %s and width = %s"""


@dataclass(frozen=True, slots=True)
class LogRows:
    """The tiles and bundles of verified chunks that follow one another."""

    new_tiles: Tiles
    new_bundles: Sequence[Bundle]
    grown_tiles: Tiles
    grown_bundle: Bundle | None
    held: int  # entries of that bundle which are there

    @classmethod
    def of(cls, chunks: Sequence[VerifiedChunk]) -> Self:
        """Those of these chunks."""
        start = chunks[0].start if chunks else 0
        tiles = {key: hashes for chunk in chunks for key, hashes in chunk.tiles.items()}
        rows = [row for chunk in chunks for row in chunk.bundles]
        grown = {key: hashes for key, hashes in tiles.items() if key[1] * WIDTH < start >> 8 * key[0]}
        new = {key: hashes for key, hashes in tiles.items() if key not in grown}
        held = start % WIDTH
        return cls(new, rows[1:] if held else rows, grown, rows[0] if held else None, held)

    def check_grown(self, log: int, grown: Cursor | None) -> None:
        """Raises MintmarkError where the last bundle was not as wide as the commit before left it."""
        if (row := self.grown_bundle) is not None and (grown is None or grown.rowcount != 1):
            had = f"bundle {row.index} of log {log} has not the {self.held} entries it had"
            raise MintmarkError(f"{had}; run mintmark fsck")


async def put_new(conn: Connection, log: int, rows: LogRows) -> None:
    """Writes the rows that are new."""
    if rows.new_tiles:
        tiles = ((log, *key, len(hashes) // HASH, hashes) for key, hashes in rows.new_tiles.items())
        await _copy(conn, COPY_TILES, ["int4", "int2", "int8", "int2", "bytea"], tiles)
    if rows.new_bundles:
        whole = ((log, row.index, row.width, row.entries, row.items) for row in rows.new_bundles)
        await _copy(conn, COPY_BUNDLES, ["int4", "int8", "int2", "bytea", "bytea"], whole)


async def _copy(conn: Connection, query: LiteralString, types: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    async with conn.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(types)
        for row in rows:
            await copy.write_row(row)


async def put_few(conn: Connection, log: int, rows: LogRows) -> None:
    """The same, each row by a request that need not be waited for."""
    for key, hashes in rows.new_tiles.items():
        await conn.execute(PUT_TILE, (log, *key, len(hashes) // HASH, hashes))
    for row in rows.new_bundles:
        await conn.execute(PUT_BUNDLE, (log, row.index, row.width, row.entries, row.items))


async def grow(conn: Connection, log: int, rows: LogRows) -> Cursor | None:
    """Widens the rows that are there; see `LogRows.check_grown` for what comes back."""
    await put_tiles(conn, "tile", log, rows.grown_tiles)
    if (row := rows.grown_bundle) is None:
        return None
    entries, items = _tail(row.entries, rows.held), _tail(row.items, rows.held)
    return await conn.execute(GROW_BUNDLE, (row.width, entries, items, log, row.index, rows.held))


def _tail(bundle: bytes, count: int) -> bytes:
    return bundle[len(bundles.take(bundle, count)) :] if bundle else b""


async def put_tiles(conn: Connection, table: str, log: int, tiles: Tiles) -> None:
    """Writes tiles, new or there, each at its new width."""
    if tiles:
        levels, indices = [key[0] for key in tiles], [key[1] for key in tiles]
        widths, hashes = [len(h) // HASH for h in tiles.values()], list(tiles.values())
        await conn.execute(PUT_TILES.format(table=table), (log, levels, indices, widths, hashes), binary=True)
