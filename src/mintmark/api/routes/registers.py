"""The list of registers, a register's home, and what changed between two sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.http_request import MAX_NUMBER
from mintmark.errors import Malformed
from mintmark.store.registers import entry_pages

if TYPE_CHECKING:
    from mintmark.api.routes.context import RouteContext
    from mintmark.store.registers.register_store import EntryRow

POINTS = 60
PAGE, MOST = 100, 1_000


async def register(c: RouteContext) -> models.Answer:
    """A register's home, and its summary."""
    growth, dangling = [], frozenset[tuple[str, str]]()
    whole = c.registers.register(c.view.name).view
    if c.format == "html" and whole.entries:
        count = whole.entries
        numbers = sorted({1 + (count - 1) * at // (POINTS - 1) for at in range(POINTS)})
        growth = [models.Growth(*point) for point in await c.store.growth(c.log, whole.size, numbers)]
    if c.format == "html" and "field" in c.registers.known:
        dangling = await c.absent(("field", column.name) for column in c.view.columns)
    note = c.registers.register(c.view.name).head.note
    return models.RegisterHome(**c.answer("/register"), checkpoint=note, growth=growth, dangling=dangling)


async def diff(c: RouteContext) -> models.Answer:
    """What changed between `from` and `to`, each a size or a time; without them, in the last year of the register."""
    params = c.request.params
    after = await c.registers.view(c.view.name, params.get("to", c.view.at))
    before = await c.registers.view(c.view.name, params.get("from", _year_before(after.updated)))
    if before.size > after.size:
        raise Malformed(f"from is after to: {before.size} entries, and {after.size}")
    start = c.request.number("start", before.size, 0, MAX_NUMBER)
    limit = c.request.number("limit", PAGE, 1, MOST)
    found = await entry_pages.changes(
        c.store, c.log, before.size, after.size, max(start, before.size), limit
    )  # fmt: skip
    changes = [
        models.Change(new.key, old if old and not old.ended else None, _standing(new)) for old, new in found.rows
    ]
    next_ = None
    if found.start is not None:
        next_ = {"from": str(before.size), "to": str(after.size), "start": str(found.start), "limit": str(limit)}
    return models.Diff(**{**c.answer("/diff"), "view": after}, before=before, changes=changes, page=models.Page(next_))


def _standing(row: EntryRow) -> EntryRow | None:
    return None if row.ended else row


def _year_before(timestamp: str | None) -> str:
    """The day a year before a timestamp, one that exists; the beginning where there is none."""
    if timestamp is None:
        return "0"
    year, rest = int(timestamp[:4]) - 1, timestamp[4:10]
    return f"{max(year, 1):04}{rest.replace('-02-29', '-02-28', 1)}"
