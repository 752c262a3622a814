"""CSV and TSV: a model as a table, with columns in the register's field order.

Cells are those of `register.cells` and `register.tables`, which read them back. A missing value is an empty cell, and
so is each of an item that is erased or unreadable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mintmark.api import models
from mintmark.register.cells import join_list, print_csv, print_tsv
from mintmark.register.item import SALT, format_hash
from mintmark.register.tables import ENTRY_COLUMNS, record_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mintmark.api.models import Model, View
    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow


class Table(NamedTuple):
    """A header and rows of the same width."""

    header: list[str]
    rows: list[list[str]]


def render_csv(model: Model) -> bytes:
    """A model as CSV. Raises Rejected for what no cell can say."""
    table = _TABLES[type(model)](model)
    return print_csv([table.header, *table.rows])


def render_tsv(model: Model) -> bytes:
    """A model as TSV. Raises Rejected for what no cell can say."""
    table = _TABLES[type(model)](model)
    return print_tsv([table.header, *table.rows])


def record_header(view: View) -> list[str]:
    """The columns of records."""
    return ENTRY_COLUMNS + [column.name for column in view.columns]


def record_row(columns: Sequence[Field], row: EntryRow) -> list[str]:
    """The cells of a record. Raises Rejected for what no cell can say."""
    number = str(row.number)
    return [number, number, row.timestamp, row.key, *record_cells(columns, row.key, row.item or {})]


def _records(view: View, rows: Iterable[EntryRow]) -> Table:
    return Table(record_header(view), [record_row(view.columns, row) for row in rows])


def _entries(rows: Iterable[EntryRow]) -> Table:
    return Table([*ENTRY_COLUMNS, "item-hash"], [_entry_row(row) for row in rows])


def _entry_row(row: EntryRow) -> list[str]:
    number = "" if row.number is None else str(row.number)
    return [number, number, row.timestamp, row.key, "" if row.item_hash is None else format_hash(row.item_hash)]


def _item(model: models.ItemDetail) -> Table:
    item, columns = model.item or {}, model.view.columns
    if model.view.column_names >= item.keys() - {SALT}:
        return Table([c.name for c in columns], [record_cells(columns, model.row.key, item)])
    return Table(list(item), [[_value(item, name) for name in item]])


def _value(item: Item, name: str) -> str:
    """A value outside of any column: a list as in one of cardinality n."""
    value = item.get(name, "")
    return value if isinstance(value, str) else join_list(value)


def _registers(model: models.RegisterList) -> Table:
    header = ["register", "register-name", "total-records", "total-entries", "last-updated", "origin", "size", "root"]
    return Table(header, [_summary(view) for view in model.registers])


def _summary(view: View) -> list[str]:
    numbers = str(view.records), str(view.entries)
    return [view.name, view.title, *numbers, view.updated or "", view.origin, str(view.size), format_hash(view.root)]


def _register(model: models.RegisterDetail) -> Table:
    header = ["field", "datatype", "cardinality", "register", "text"]
    rows = [[c.name, c.datatype, "n" if c.many else "1", c.register or "", c.text] for c in model.view.columns]
    return Table(header, rows)


def _diff(model: models.Diff) -> Table:
    return Table(["key", "change", "field", "before", "after"], [row for c in model.changes for row in _change(c)])


def _change(change: models.Change) -> list[list[str]]:
    """A row for each field that changed; one without a field where none is known to have, as an item is not there."""
    old = (change.before.item if change.before else None) or {}
    new = (change.after.item if change.after else None) or {}
    fields = [name for name in dict.fromkeys((*old, *new)) if name != SALT and old.get(name) != new.get(name)]
    return [[change.key, change.kind, name, _value(old, name), _value(new, name)] for name in fields] or [
        [change.key, change.kind, "", "", ""]
    ]


def _problem(model: models.Problem) -> Table:
    return Table(["status", "title", "detail"], [[str(model.status), model.title, model.detail]])


_TABLES: dict[type[Model], Callable[[Any], Table]] = {
    models.RegisterList: _registers,
    models.RegisterDetail: _register,
    models.RecordList: lambda model: _records(model.view, model.rows),
    models.RecordDetail: lambda model: _records(model.view, [model.row]),
    models.EntryList: lambda model: _entries(model.rows),
    models.EntryDetail: lambda model: _entries([model.row]),
    models.ItemDetail: _item,
    models.ReferrerList: lambda model: Table(
        ["register", "field", "key"], [[r.register, r.field, r.key] for r in model.referrers]
    ),
    models.Diff: _diff,
    models.Problem: _problem,
}
