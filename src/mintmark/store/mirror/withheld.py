"""Items that did not come with their entries and that no erasure explains: which they are, and how they are filled in.

They keep the head back. Whoever has one may give it: an entry names its item by hash, so the item is proven by itself.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import MintmarkError
from mintmark.register.kernel import open_rows
from mintmark.store.connection.sql import load_sql
from mintmark.tlog import bundle as bundles
from mintmark.tlog.kernel import TILE_WIDTH, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mintmark.store.connection.pool import Connection, Pool

MAX_PAGE_ITEMS = 4_096

SQL = load_sql(__package__, "withheld")


class WithheldItem(NamedTuple):
    """An item that is waited for: the index of its entry, and the source that sent the entry without it, if known."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about an item
    source: str | None

    def __str__(self) -> str:
        return f"the item of entry {self.index} was withheld by {self.source or 'a source'}"


class WithheldStore:
    """The items that one read database waits for. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def first(self, log: int) -> WithheldItem | None:
        """The first item that a log waits for; None where it waits for none."""
        return next(iter(await self.page(log, -1, 1)), None)

    async def page(self, log: int, after: int, most: int = MAX_PAGE_ITEMS) -> list[WithheldItem]:
        """The items that a log waits for behind the index `after`, so many at most."""
        rows = await self._pool.fetch(SQL["page"], {"log": log, "after": after, "most": most})
        return [WithheldItem(*row) for row in rows]

    async def fill(self, log: int, items: Mapping[int, bytes]) -> list[int]:
        """Writes items by the index of their entries into bundles and rows; the indices of those that were waited for.

        Raises ProofError, with nothing written, for an item that its entry does not name.
        """
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(SQL["lock"], {"log": log})
            cursor = await conn.execute(SQL["take"], {"log": log, "indices": list(items)})
            taken = sorted(row[0] for row in await cursor.fetchall())
            for at, indices in groupby(taken, lambda index: index // TILE_WIDTH):
                await _fill_bundle(conn, log, at, {index: items[index] for index in indices})
        return taken


async def _fill_bundle(conn: Connection, log: int, at: int, items: Mapping[int, bytes]) -> None:
    query = "select width, entries, items from bundle where log = %s and index = %s"
    found = await (await conn.execute(query, (log, at), binary=True)).fetchone()
    if found is None:
        raise MintmarkError(f"bundle {at} of log {log} is lost; run mintmark fsck")
    width, entries, joined = found
    leaves, beside = bundles.cut(entries, width), bundles.cut(joined, width)
    for index, item in items.items():
        leaf = bundles.join([leaves[index % TILE_WIDTH]])
        (row,) = open_rows(index, 0, leaf_hashes(leaf), leaf, bundles.join([item]))
        beside[index % TILE_WIDTH] = item
        shown = row.item.decode() if row.item is not None else None
        query = "update entry set item = %s::text::jsonb where log = %s and index = %s"
        await conn.execute(query, (shown, log, index))
    query = "update bundle set items = %s where log = %s and index = %s"
    await conn.execute(query, (bundles.join(beside), log, at))
