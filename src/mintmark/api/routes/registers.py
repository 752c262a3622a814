"""A register, and its changes between two sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.errors import Malformed
from mintmark.store.registers import entry_pages
from mintmark.tlog.text import MAX_NUMBER

if TYPE_CHECKING:
    from mintmark.api.models import View
    from mintmark.api.requests import RouteContext
    from mintmark.store.registers.register_store import EntryRow

MAX_GROWTH_POINTS = 60
PAGE_CHANGES, MAX_PAGE_CHANGES = 100, 1_000  # by default, and at most


async def register(c: RouteContext) -> models.Model:
    """A register: its name, fields, counts, and the root that was signed."""
    newest = c.registers.register(c.view.name)
    growth, dangling = [], frozenset[tuple[str, str]]()
    if c.format == "html":
        growth = await _growth(c, newest.view)
        if "field" in c.registers.cached:
            dangling = await c.absent(("field", column.name) for column in c.view.columns)
    note = newest.head.note
    return models.RegisterDetail(**c.about("/register"), checkpoint=note, growth=growth, dangling=dangling)


async def _growth(c: RouteContext, newest: View) -> list[models.Growth]:
    """Points of the register's whole history, evenly spread over its user entries."""
    if not newest.entries:
        return []
    steps = MAX_GROWTH_POINTS - 1
    numbers = sorted({1 + (newest.entries - 1) * step // steps for step in range(MAX_GROWTH_POINTS)})
    return [models.Growth(*point) for point in await c.store.growth(c.log, newest.size, numbers)]


async def diff(c: RouteContext) -> models.Model:
    """The changes between `from` and `to`, each a size or a time; by default those of the register's last year."""
    params = c.request.params
    after = await c.registers.view(c.view.name, params.get("to", c.view.at))
    before = await c.registers.view(c.view.name, params.get("from", _year_before(after.updated)))
    if before.size > after.size:
        raise Malformed(f"from is after to: {before.size} entries, and {after.size}")
    start = c.request.number("start", before.size, 0, MAX_NUMBER)
    limit = c.request.number("limit", PAGE_CHANGES, 1, MAX_PAGE_CHANGES)
    limit = min(limit, c.max_rows)
    found = await entry_pages.changes(c.store, c.log, before.size, after.size, max(start, before.size), limit)
    changes = [
        models.Change(new.key, old if old and not old.ended else None, _standing(new)) for old, new in found.rows
    ]
    next_ = None
    if found.start is not None:
        next_ = {"from": str(before.size), "to": str(after.size), "start": str(found.start), "limit": str(limit)}
    return models.Diff(**(c.about("/diff") | {"view": after}), before=before, changes=changes, page=models.Page(next_))


def _standing(row: EntryRow) -> EntryRow | None:
    return None if row.ended else row


def _year_before(timestamp: str | None) -> str:
    """The day one year before a timestamp; size 0 where there is none."""
    if timestamp is None:
        return "0"
    year, rest = int(timestamp[:4]) - 1, timestamp[4:10]
    return f"{max(year, 1):04}{rest.replace('-02-29', '-02-28', 1)}"
