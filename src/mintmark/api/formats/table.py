"""Answers as tables, which CSV and TSV print: a header and rows of cells, columns in the register's field order.

A missing value is an empty cell; values of a field with cardinality n are joined with `;`, so none of them may hold
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mintmark.api import models
from mintmark.api.linking import values
from mintmark.api.problems import NotAcceptable
from mintmark.register.item import SALT, format_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mintmark.api.models import Answer, View
    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

ENTRY = ["index-entry-number", "entry-number", "entry-timestamp", "key"]


class Table(NamedTuple):
    """Cells; every row is as wide as the header."""

    header: list[str]
    rows: list[list[str]]


def table(answer: Answer) -> Table:
    """The whole answer."""
    return _TABLES[type(answer)](answer)


def record_header(view: View) -> list[str]:
    """The columns of records."""
    return ENTRY + [column.name for column in view.columns]


def record_row(columns: Sequence[Field], row: EntryRow) -> list[str]:
    """The cells of a record. Raises NotAcceptable where a list could not be read again."""
    number = str(row.number)
    return [number, number, row.timestamp, row.key, *(_cell(row.key, column, row.item) for column in columns)]


def _cell(key: str, column: Field, item: Item | None) -> str:
    return joined(key, column, item.get(column.name, "") if item else "")


def joined(key: str, column: Field, value: str | list[str]) -> str:
    """One cell of the values of a field. Raises NotAcceptable where they could not be told apart again."""
    if isinstance(value, str):
        return value
    cell = ";".join(value)
    if cell.count(";") > max(len(value) - 1, 0):
        raise NotAcceptable(
            f"a value of {column.name} in record {key!r} holds a semicolon, which separates values here; take JSON"
        )
    return cell


def _records(view: View, rows: Iterable[EntryRow]) -> Table:
    return Table(record_header(view), [record_row(view.columns, row) for row in rows])


def _entries(rows: Iterable[EntryRow]) -> Table:
    return Table([*ENTRY, "item-hash"], [_entry(row) for row in rows])


def _entry(row: EntryRow) -> list[str]:
    number = "" if row.number is None else str(row.number)
    return [number, number, row.timestamp, row.key, "" if row.item_hash is None else format_hash(row.item_hash)]


def _item(answer: models.ItemAnswer) -> Table:
    known = {column.name for column in answer.view.columns}
    if known >= answer.item.keys() - {SALT}:
        columns = answer.view.columns
        return Table([c.name for c in columns], [[_cell(answer.row.key, c, answer.item) for c in columns]])
    return Table(list(answer.item), [[";".join(values(answer.item, name)) for name in answer.item]])


def _registers(answer: models.RegisterList) -> Table:
    header = ["register", "register-name", "total-records", "total-entries", "last-updated", "origin", "size", "root"]
    return Table(header, [_summary(view) for view in answer.registers])


def _summary(view: View) -> list[str]:
    numbers = str(view.records), str(view.entries)
    return [view.name, view.title, *numbers, view.updated or "", view.origin, str(view.size), format_hash(view.root)]


def _register(answer: models.RegisterHome) -> Table:
    header = ["field", "datatype", "cardinality", "register", "text"]
    rows = [[c.name, c.datatype, "n" if c.many else "1", c.register or "", c.text] for c in answer.view.columns]
    return Table(header, rows)


def _diff(answer: models.Diff) -> Table:
    return Table(["key", "change", "field", "before", "after"], [row for c in answer.changes for row in _change(c)])


def _change(change: models.Change) -> list[list[str]]:
    """A row a field that is not what it was."""
    old = (change.before.item if change.before else None) or {}
    new = (change.after.item if change.after else None) or {}
    fields = [name for name in dict.fromkeys((*old, *new)) if name != SALT and old.get(name) != new.get(name)]
    return [
        [change.key, change.kind, name, ";".join(values(old, name)), ";".join(values(new, name))] for name in fields
    ]


def _problem(answer: models.Problem) -> Table:
    return Table(["status", "title", "detail"], [[str(answer.status), answer.title, answer.detail]])


_TABLES: dict[type[Answer], Callable[[Any], Table]] = {
    models.RegisterList: _registers,
    models.RegisterHome: _register,
    models.Records: lambda answer: _records(answer.view, answer.rows),
    models.Record: lambda answer: _records(answer.view, [answer.row]),
    models.Entries: lambda answer: _entries(answer.rows),
    models.EntryAnswer: lambda answer: _entries([answer.row]),
    models.ItemAnswer: _item,
    models.Referrers: lambda answer: Table(
        ["register", "field", "key"], [[r.register, r.field, r.key] for r in answer.referrers]
    ),
    models.Diff: _diff,
    models.Problem: _problem,
}
