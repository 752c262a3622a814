"""What refers to a record: the records, of any register here, a field of which has the value that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from mintmark.store.register_store import Row, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.store.register_store import RegisterStore

# No condition on the log beside the value's own: the planner has the index of values to choose, and nothing else.
REFERRERS = """
    select g.at, e.index, e.type, e.number, e.key, e.timestamp, e.item_hash, e.item::text
    from unnest(%(sizes)s::bigint[], %(values)s::jsonb[]) with ordinality as g(size, value, at)
    cross join lateral (
        select * from entry e where scoped(e.log, e.item) @> g.value and e.type = 'user' and e.index < g.size
        and (e.superseded_by is null or e.superseded_by >= g.size) limit %(limit)s) as e
    order by g.at, e.key"""


class Place(NamedTuple):
    """Where a reference may be: a field of a register, as of a size, and the value that would be one."""

    log: int
    size: int
    field: str
    many: bool
    value: str


async def referrers(store: RegisterStore, places: Sequence[Place], limit: int) -> list[tuple[int, Row]]:
    """Up to `limit` records of each place that refer from there, each with the place's position."""
    if not places:
        return []
    values = [{str(p.log): {p.field: [p.value] if p.many else p.value}} for p in places]
    args = {
        "sizes": [p.size for p in places],
        "values": [orjson.dumps(value).decode() for value in values],
        "limit": limit,
    }
    return [(at - 1, row(found)) for at, *found in await store.fetch(REFERRERS, args)]
