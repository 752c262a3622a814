"""What pages show of rows: values with where they lead, what changed between two entries, and how to narrow a list.

Pure: from answers to values that a template only has to print.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from mintmark.api.linking import TITLE_FIELDS, segment, values
from mintmark.register.definitions import Field
from mintmark.register.item import SALT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mintmark.api.models import Referrer, View
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

    Dangling = Collection[tuple[str, str]]
    Titles = Mapping[tuple[str, str], str]

FIELD = Field("field", "string", many=False, register="field")  # a field's name is a key of the register `field`
MAX_NARROWING = 24  # values on a page of a field that is offered to narrow a list by
OFFERED = 8  # of them, the commonest
NO_TITLES: Titles = {}


class Value(NamedTuple):
    """One value of a field. `where` tells what `href` leads to; "dangling": to no record that is here. `title` is
    what people call the record that it leads to, where that is known and says more."""

    text: str
    href: str | None = None
    where: Literal["plain", "here", "elsewhere", "web", "nowhere", "dangling"] = "plain"
    title: str | None = None


class Cell(NamedTuple):
    """A field of a record, with its values; none where it is missing."""

    field: Field
    values: list[Value]


class Difference(NamedTuple):
    """A field whose values changed."""

    field: Field
    before: list[Value]
    after: list[Value]


def cells(view: View, item: Item | None, dangling: Dangling = (), titles: Titles = NO_TITLES) -> list[Cell]:
    """Every field of a record, in the register's order, then what the register does not know (of system entries)."""
    known = {column.name for column in view.columns}
    item = item or {}
    fields = list(view.columns) if known & item.keys() else []
    fields += [_unknown(name, item) for name in item if name not in known and name != SALT]
    return [Cell(field, shown(view, field, item, dangling, titles)) for field in fields]


def split(cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
    """The cells that have values, and those that have none."""
    return [cell for cell in cells if cell.values], [cell for cell in cells if not cell.values]


def shown(
    view: View, field: Field, item: Item | None, dangling: Dangling = (), titles: Titles = NO_TITLES
) -> list[Value]:
    """The values of one field, with where they lead."""
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
        href += then(view)
    title = titles.get(target.record) if target.record else None
    return Value(text, href, target.where, title if title != text else None)


def then(view: View) -> str:
    """What takes a reader of a past time to the same time of another register: a size means nothing there."""
    return f"?at={view.at}" if view.at and not view.at.isdecimal() else ""


def defined(view: View, field: str, dangling: Dangling) -> str | None:
    """Where the field itself is a record, if anybody publishes that."""
    return _value(view, FIELD, field, dangling, NO_TITLES).href


def differences(view: View, before: EntryRow | None, after: EntryRow | None) -> list[Difference]:
    """The fields in which two entries of a record differ; all that has a value where there is only one."""
    old, new = (row.item or {} if row else {} for row in (before, after))
    return [
        Difference(cell.field, shown(view, cell.field, old), shown(view, cell.field, new))
        for cell in cells(view, {**old, **new})
        if old.get(cell.field.name) != new.get(cell.field.name)
    ]


class Step(NamedTuple):
    """One entry in a record's history; `changes` None: what was before it is not on the page."""

    row: EntryRow
    kind: Literal["added", "changed", "repeated", "ended", "erased"]
    changes: list[Difference] | None


def steps(view: View, history: Sequence[EntryRow], complete: bool) -> Iterator[Step]:
    """A record's history, newest first as it is given; `complete` if its first entry is there."""
    for row, before in zip(history, [*history[1:], None], strict=True):
        if before is None and not complete:
            yield Step(row, "changed", None)
            continue
        hidden = before is not None and before.erased
        changes = [] if row.ended or row.erased else None if hidden else differences(view, before, row)
        yield Step(row, _kind(row, before, changes), changes)


def _kind(
    row: EntryRow, before: EntryRow | None, changes: list[Difference] | None
) -> Literal["added", "changed", "repeated", "ended", "erased"]:
    if row.ended or row.erased:
        return "ended" if row.ended else "erased"
    if before is None or before.ended:
        return "added"
    return "repeated" if changes == [] else "changed"


class References(NamedTuple):
    """Who refers to a record by one field of one register: the first few, and where they are all listed."""

    register: str
    field: str
    records: list[tuple[str, str]]  # titles, with their addresses
    all_of_them: str


def references(view: View, referrers: Sequence[Referrer]) -> list[References]:
    """What refers to a record, grouped by where it does."""
    found = []
    for (register, field, value), group in groupby(referrers, lambda r: (r.register, r.field, r.value)):
        base = view.linker.base.format(register) + "/records"
        records = [(referrer.title, f"{base}/{segment(referrer.key)}{then(view)}") for referrer in group]
        found.append(References(register, field, records, f"{base}/{field}/{segment(value)}{then(view)}"))
    return found


def columns(view: View) -> list[Field]:
    """The columns of a table of records behind the key: what names a record first, so that a phone shows both."""
    rest = [column for column in view.columns if column.name != view.name]
    return sorted(rest, key=lambda column: column.name != TITLE_FIELDS[0])


class Narrowing(NamedTuple):
    """A field by which the list on the page can be narrowed, with the values that it has there."""

    field: str
    values: list[str]


def narrowings(view: View, rows: Sequence[EntryRow]) -> list[Narrowing]:
    """Fields with few values that come again on the page, commonest first: links to facets, which know the whole."""
    found = []
    for column in view.columns:
        counts = Counter(value for row in rows for value in values(row.item, column.name))
        if 1 < len(counts) <= MAX_NARROWING and counts.total() >= 2 * len(counts) and all(len(v) <= 40 for v in counts):
            found.append(Narrowing(column.name, [value for value, _ in counts.most_common(OFFERED)]))
    return found
