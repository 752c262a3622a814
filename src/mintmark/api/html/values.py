"""The values that pages show: fields with their links, differences of two entries, histories, facets of a list.

Pure functions from models to values that a template only prints.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from mintmark.api.formats import segment
from mintmark.register.definitions import Field
from mintmark.register.item import SALT, values
from mintmark.register.links import TITLE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mintmark.api.models import Referrer, View
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

    Dangling = Collection[tuple[str, str]]
    Titles = Mapping[tuple[str, str], str]

FIELD_OF_NAMES = Field("field", "string", many=False, register="field")  # names are keys of the register `field`
MAX_FACET_VALUES = 24  # of a field on a page, if the page suggests it as a facet
MAX_FACET_CHARS = 40  # of such a value
SUGGESTED_VALUES = 8  # the most frequent ones
NO_TITLES: Titles = {}


class Value(NamedTuple):
    """One value of a field. `where` is the kind of its link; "dangling": to no record here. `title` is the linked
    record's name, where it is known and differs from the text."""

    text: str
    href: str | None = None
    where: Literal["plain", "here", "elsewhere", "web", "nowhere", "dangling"] = "plain"
    title: str | None = None


class Cell(NamedTuple):
    """A field of a record with its values; none where it is missing."""

    field: Field
    values: list[Value]


class Difference(NamedTuple):
    """A field whose values changed."""

    field: Field
    before: list[Value]
    after: list[Value]


def cells(view: View, item: Item | None, dangling: Dangling = (), titles: Titles = NO_TITLES) -> list[Cell]:
    """Every field of a record in the register's order, then those unknown to the register (of system entries)."""
    item = item or {}
    fields = list(view.columns) if view.column_names & item.keys() else []
    fields += [_unknown(name, item) for name in item if name not in view.column_names and name != SALT]
    return [Cell(field, field_values(view, field, item, dangling, titles)) for field in fields]


def split_missing(cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
    """The cells that have values, and those that have none."""
    return [cell for cell in cells if cell.values], [cell for cell in cells if not cell.values]


def field_values(
    view: View, field: Field, item: Item | None, dangling: Dangling = (), titles: Titles = NO_TITLES
) -> list[Value]:
    """The values of one field, with their links."""
    return [_value(view, field, text, dangling, titles) for text in values(item, field.name)]


def _unknown(name: str, item: Item) -> Field:
    return Field(name, "string", many=isinstance(item[name], list))


def _value(view: View, field: Field, text: str, dangling: Dangling, titles: Titles) -> Value:
    target = view.linker.target(field, text)
    if target is None:
        return Value(text)
    if target.record is not None and target.record in dangling:
        return Value(text, None, "dangling")
    href = target.href
    if href is not None and target.where == "here":
        href += time_query(view)
    title = titles.get(target.record) if target.record else None
    return Value(text, href, target.where, title if title != text else None)


def time_query(view: View) -> str:
    """The query for the same time in another register; "" for a size, which means nothing there."""
    return f"?at={view.at}" if view.at and not view.at.isdecimal() else ""


def field_href(view: View, field: str, dangling: Dangling) -> str | None:
    """The address of a field's own record, if it is published."""
    return _value(view, FIELD_OF_NAMES, field, dangling, NO_TITLES).href


def differences(view: View, before: EntryRow | None, after: EntryRow | None) -> list[Difference]:
    """The fields in which two entries of a record differ; with one entry alone, all that have a value."""
    old, new = (row.item or {} if row else {} for row in (before, after))
    both = {**old, **new}
    changed = {name for name in both if old.get(name) != new.get(name)} - {SALT}
    fields = [column for column in view.columns if column.name in changed]
    fields += [_unknown(name, both) for name in both if name in changed and name not in view.column_names]
    return [Difference(field, field_values(view, field, old), field_values(view, field, new)) for field in fields]


StepKind = Literal["added", "changed", "repeated", "ended", "erased", "unreadable"]


class Step(NamedTuple):
    """One entry of a record's history. `changes` is None where the entry before it is not known here."""

    row: EntryRow
    kind: StepKind
    changes: list[Difference] | None


def history_steps(view: View, history: Sequence[EntryRow], complete: bool) -> Iterator[Step]:
    """A record's history, newest first like `history`; `complete` if that begins with its first entry."""
    for row, before in zip(history, [*history[1:], None], strict=True):
        if before is None and not complete:
            yield Step(row, "changed", None)
            continue
        hidden = before is not None and (before.erased or before.unreadable)
        changes = [] if row.item is None else None if hidden else differences(view, before, row)
        yield Step(row, _kind(row, before, changes), changes)


def _kind(row: EntryRow, before: EntryRow | None, changes: list[Difference] | None) -> StepKind:
    if row.item is None:
        return "ended" if row.ended else "erased" if row.erased else "unreadable"
    if before is None or before.ended:
        return "added"
    return "repeated" if changes == [] else "changed"


class ReferrerGroup(NamedTuple):
    """The referrers of a record by one field of one register: the first few, and the address of the whole list."""

    register: str
    field: str
    records: list[tuple[str, str]]  # titles, with their addresses
    list_href: str


def group_referrers(view: View, referrers: Sequence[Referrer]) -> list[ReferrerGroup]:
    """The referrers of a record, grouped by register and field."""
    found = []
    for (register, field, value), group in groupby(referrers, lambda r: (r.register, r.field, r.value)):
        base = view.linker.base.format(register) + "/records"
        records = [(referrer.title, f"{base}/{segment(referrer.key)}{time_query(view)}") for referrer in group]
        found.append(ReferrerGroup(register, field, records, f"{base}/{field}/{segment(value)}{time_query(view)}"))
    return found


def table_columns(view: View) -> list[Field]:
    """The columns of a table of records after the key. The name comes first, so that a phone shows both."""
    rest = [column for column in view.columns if column.name != view.name]
    return sorted(rest, key=lambda column: column.name != TITLE_FIELDS[0])


class SuggestedFacet(NamedTuple):
    """A field to narrow a list by, with its most frequent values on the page."""

    field: str
    values: list[str]


def suggested_facets(view: View, rows: Sequence[EntryRow]) -> list[SuggestedFacet]:
    """The fields whose few values repeat on a page of records."""
    found = []
    for column in view.columns:
        counts = Counter(value for row in rows for value in values(row.item, column.name))
        few = 1 < len(counts) <= MAX_FACET_VALUES and all(len(value) <= MAX_FACET_CHARS for value in counts)
        if few and counts.total() >= 2 * len(counts):
            found.append(SuggestedFacet(column.name, [value for value, _ in counts.most_common(SUGGESTED_VALUES)]))
    return found
