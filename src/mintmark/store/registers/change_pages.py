"""What changed between two sizes: the last entry of each key in between, beside the one from before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.store.registers.register_store import COLUMNS, EntryRow, row

if TYPE_CHECKING:
    from mintmark.store.registers.register_store import RegisterStore

WINDOW = 20_000  # entries looked at for one page

CHANGES = f"""
    select {COLUMNS}, b.index, b.type, b.number, b.key, b.timestamp, b.item_hash, b.item::text
    from (select * from entry where log = %(log)s and type = 'user' and index >= %(start)s and index < %(size)s
          order by index limit %(window)s) as e
    left join lateral (select * from entry b where b.log = e.log and b.type = 'user' and b.key = e.key
                       and b.index < %(before)s order by b.index desc limit 1) as b on true
    where (e.superseded_by is null or e.superseded_by >= %(size)s) and b.item_hash is distinct from e.item_hash
    order by e.index limit %(limit)s"""  # noqa: S608
EDGE = """
    select max(index), count(*) from (
        select index from entry where log = %(log)s and type = 'user' and index >= %(start)s and index < %(size)s
        order by index limit %(window)s) as e"""


class Changed(NamedTuple):
    """(before, after) of each record that changed, and the index that the next page starts at, None: no more."""

    rows: list[tuple[EntryRow | None, EntryRow]]
    start: int | None


async def changes(store: RegisterStore, log: int, before: int, size: int, start: int, limit: int) -> Changed:
    """Records that differ between `before` and `size`, in the order of their last entries, from index `start` on.

    A page looks at WINDOW entries at most: it may be short, and have a next one.
    """
    args = {"log": log, "before": before, "size": size, "start": start, "window": WINDOW, "limit": limit + 1}
    found = [(row(f[7:]) if f[7] is not None else None, row(f[:7])) for f in await store.fetch(CHANGES, args)]
    if len(found) > limit:
        return Changed(found[:limit], found[limit][1].index)
    last, seen = (await store.fetch(EDGE, args))[0]
    return Changed(found, last + 1 if seen == WINDOW else None)
