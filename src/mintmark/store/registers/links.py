"""The referrers of a record: records of any register here that name it in a field.

The index of values finds them, but reads every entry that has the value. So in a large register the newest entries are
read first: of many referrers, some are among them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import orjson

from mintmark.store.connection.sql import load_sql
from mintmark.store.registers.register_store import COLUMNS, EntryRow, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.store.registers.register_store import RegisterStore

NEWEST_ENTRIES = 1_000  # read of a large register

SQL = load_sql(__package__, "links", columns=COLUMNS, newest=str(NEWEST_ENTRIES))


class ReferencePlace(NamedTuple):
    """A place where a reference may stand: a field of a register as of a size, and the value that would be one."""

    log: int
    size: int
    field: str
    many: bool
    value: str


async def referrers(store: RegisterStore, places: Sequence[ReferencePlace], limit: int) -> list[tuple[int, EntryRow]]:
    """Up to `limit` referrers at each place, each with the place's position."""
    large = [at for at, place in enumerate(places) if place.size > store.limits.large_register]
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
    return [(at - 1, row(found)) for at, *found in await store.fetch(SQL["newest_referrers"], args)]


async def _indexed(store: RegisterStore, places: Sequence[ReferencePlace], limit: int) -> list[tuple[int, EntryRow]]:
    values = [{str(p.log): {p.field: [p.value] if p.many else p.value}} for p in places]
    args = {
        "sizes": [p.size for p in places],
        "values": [orjson.dumps(value).decode() for value in values],
        "limit": limit,
    }
    return [(at - 1, row(found)) for at, *found in await store.fetch(SQL["referrers"], args)]
