"""What refers to a record: the records, of any register here, a field of which has the value that names it.

An index finds them, which reads all that it knows of a value. In a large register the newest entries are looked at
first: what many records refer to, some of them do.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import orjson

from mintmark.store.registers.register_store import COLUMNS, EntryRow, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.store.registers.register_store import RegisterStore

LARGE = 100_000  # entries
WALKED = 1_000  # of them, the newest

# No condition on the log beside the value's own: the planner has the index of values to choose, and nothing else.
REFERRERS = """
    select g.at, e.index, e.type, e.number, e.key, e.timestamp, e.item_hash, e.item::text
    from unnest(%(sizes)s::bigint[], %(values)s::jsonb[]) with ordinality as g(size, value, at)
    cross join lateral (
        select * from entry e where scoped(e.log, e.item) @> g.value and e.type = 'user' and e.index < g.size
        and (e.superseded_by is null or e.superseded_by >= g.size) limit %(limit)s) as e
    order by g.at, e.key"""
NEWEST = f"""
    select g.at, {COLUMNS}
    from unnest(%(logs)s::int[], %(sizes)s::bigint[], %(fields)s::text[], %(values)s::jsonb[]) with ordinality
        as g(log, size, field, value, at)
    cross join lateral (
        select * from (select * from entry where log = g.log and index < g.size order by index desc limit {WALKED}) as n
        where n.type = 'user' and (n.superseded_by is null or n.superseded_by >= g.size)
        and (n.item -> g.field) @> g.value limit %(limit)s) as e
    order by g.at, e.key"""  # noqa: S608


class ReferencePlace(NamedTuple):
    """Where a reference may be: a field of a register, as of a size, and the value that would be one."""

    log: int
    size: int
    field: str
    many: bool
    value: str


async def referrers(store: RegisterStore, places: Sequence[ReferencePlace], limit: int) -> list[tuple[int, EntryRow]]:
    """Up to `limit` records of each place that refer from there, each with the place's position."""
    large = [at for at, place in enumerate(places) if place.size > LARGE]
    found = await _newest(store, [places[at] for at in large], limit) if large else []
    counts = Counter(at for at, _ in found)
    enough = {large[at] for at, count in counts.items() if count == limit}
    rest = [at for at in range(len(places)) if at not in enough]
    rows = [(large[at], row) for at, row in found if large[at] in enough]
    if rest:
        rows += [(rest[at], row) for at, row in await _indexed(store, [places[at] for at in rest], limit)]
    return sorted(rows, key=lambda found: found[0])


async def _newest(store: RegisterStore, places: Sequence[ReferencePlace], limit: int) -> list[tuple[int, EntryRow]]:
    args = {
        "logs": [p.log for p in places],
        "sizes": [p.size for p in places],
        "fields": [p.field for p in places],
        "values": [orjson.dumps(p.value).decode() for p in places],
        "limit": limit,
    }
    return [(at - 1, row(found)) for at, *found in await store.fetch(NEWEST, args)]


async def _indexed(store: RegisterStore, places: Sequence[ReferencePlace], limit: int) -> list[tuple[int, EntryRow]]:
    values = [{str(p.log): {p.field: [p.value] if p.many else p.value}} for p in places]
    args = {
        "sizes": [p.size for p in places],
        "values": [orjson.dumps(value).decode() for value in values],
        "limit": limit,
    }
    return [(at - 1, row(found)) for at, *found in await store.fetch(REFERRERS, args)]
