"""Tables of records: CSV, TSV and JSON Lines. The cells of the first two, and their quoting, are those of `cells`.

A table has a column for each field of the register; what the read API writes, four of the entry before them, which a
reader passes over. A cell is a string whatever it looks like, a list in a field with cardinality n; empty cells are
missing values. Names in the header are trimmed, values never: their blanks are data. What no cell can say is refused,
and no mint admits it: an empty string, a list in a field with cardinality 1, one string in a field with n.

A line of JSON Lines is a bare item, or an entry with its item, which is also how a whole register is written without
loss:

    {"country":"GB","name":"United Kingdom"}
    {"item":{…},"item-hash":"sha-256:…","key":"GB","timestamp":"2016-04-05T13:23:05Z","type":"user"}

An entry line without `item-hash` and `item` is a tombstone; with `item-hash` alone its item was erased; with
`item-base64` its item's bytes are no item by our grammar: they are kept, and no register takes them.
"""

from __future__ import annotations

import codecs
import io
from base64 import b64encode
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mintmark.errors import Malformed, Rejected
from mintmark.register import canonical
from mintmark.register.cells import join_list, read_csv_rows, read_tsv_rows, split_list
from mintmark.register.datatypes import shorten
from mintmark.register.entry import Entry, EntryType, format_entry, parse_entry
from mintmark.register.item import format_hash, item_hash, parse_item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.register.schema import Schema

ENTRY_COLUMNS = ["index-entry-number", "entry-number", "entry-timestamp", "key"]  # of the read API's tables
_ENTRY = {"key", "timestamp", "type"}
_ENTRY_LINE = _ENTRY | {"item", "item-base64", "item-hash"}


class TableRow(NamedTuple):
    """A record or an entry of a table, to be appended; its row starts at `line`.

    A table of records has no timestamps: None. `item` is None for a tombstone and, with an `item_hash`, for an erased
    item.
    """

    key: str
    item: Item | None
    line: int
    timestamp: str | None = None
    type: EntryType = "user"
    item_hash: bytes | None = None


def read_csv(data: bytes, schema: Schema | None = None) -> Iterator[TableRow]:
    """The records of a CSV file. Without a schema the first column is the key and every field has cardinality 1.

    Raises:
        Rejected: rule "table", with the line.
    """
    return _records(read_csv_rows(data), schema)


def read_tsv(data: bytes, schema: Schema | None = None) -> Iterator[TableRow]:
    """The records of a TSV file, quoted or not; otherwise as `read_csv`."""
    return _records(read_tsv_rows(data), schema)


def read_jsonl(source: bytes | Iterable[bytes], schema: Schema | None = None) -> Iterator[TableRow]:
    """The rows of JSON Lines, or of their lines. Without a schema the first member of a bare item is the key.

    A line that could be both an entry and an item (of a register whose fields are called like an entry's) is an entry.

    Raises:
        Rejected: rule "table", with the line.
    """
    for number, text in enumerate(io.BytesIO(source) if isinstance(source, bytes) else source, 1):
        line = text.removeprefix(codecs.BOM_UTF8) if number == 1 else text
        if line.strip():
            try:
                yield _parse_row(number, canonical.loads(line), schema)
            except Malformed as error:
                raise _rejected(number, str(error)) from None


def write_jsonl(
    rows: Iterable[tuple[Entry, bytes | None]], unreadable: Mapping[int, bytes] = MappingProxyType({})
) -> Iterator[bytes]:
    """One line for each entry and its item, as `read_jsonl` reads it; each is canonical JSON itself.

    `unreadable` holds the bytes of items that are none, by the position of their rows.
    """
    for at, (entry, item) in enumerate(rows):
        leaf = format_entry(entry)
        if item is not None:
            yield b'{"item":%b,%b\n' % (item, leaf[1:])
        elif at in unreadable:
            yield b'{"item-base64":"%b",%b\n' % (b64encode(unreadable[at]), leaf[1:])
        else:
            yield leaf + b"\n"


def record_cells(columns: Iterable[Field], key: str, item: Item) -> list[str]:
    """The cells of a record. Raises Rejected, which names record and field, for what no cell can say."""
    return [record_cell(column, key, item.get(column.name)) for column in columns]


def record_cell(column: Field, key: str, value: str | list[str] | None) -> str:
    """The cell of one field, as in `record_cells`."""
    if value is None:
        return ""
    if isinstance(value, str) and value and not column.many:
        return value
    if isinstance(value, list) and column.many:
        return join_list(value)
    what = "a list" if isinstance(value, list) else "one string" if value else "an empty string"
    raise Rejected(
        f"record {shorten(key)}: {column.name} is {what}, which its column cannot say; take JSON or JSON Lines",
        rule="table", field=column.name,
    )  # fmt: skip


def _records(rows: Iterator[tuple[int, list[str]]], schema: Schema | None) -> Iterator[TableRow]:
    line, header = next(rows, (1, []))
    names = _names(line, header, schema)
    many = {column.name for column in schema.columns if column.many} if schema else set()
    before = len(header) - len(names)  # columns of the entry
    for line, cells in rows:
        if len(cells) > len(header):
            raise _rejected(line, f"{len(cells)} cells under a header of {len(header)}")
        item: Item = {
            name: split_list(cell) if name in many else cell
            for name, cell in zip(names, cells[before:], strict=False)
            if cell
        }
        row = _record(line, item, _key_name(schema, names))
        if before and row.key != cells[before - 1]:
            raise _rejected(line, f"the key is {shorten(cells[before - 1])}, the item's {shorten(row.key)}")
        yield row


def _names(line: int, header: list[str], schema: Schema | None) -> list[str]:
    names = [name.strip() for name in header]
    if names[: len(ENTRY_COLUMNS)] == ENTRY_COLUMNS:
        names = names[len(ENTRY_COLUMNS) :]
    if not names or "" in names or len(set(names)) != len(names):
        raise _rejected(line, "the header names every column, none twice")
    known = {column.name for column in schema.columns} if schema else set(names)
    for name in names:
        if name not in known:
            raise _rejected(line, f"the register has no field {shorten(name)}{_separators(name)}", field=name)
    return names


def _separators(name: str) -> str:
    """Why the name of a column may be none."""
    found = next((mark for mark in ";,\t|" if mark in name), None)
    advice = "save the table with commas (CSV) or tabs (TSV)"
    return f"; its columns seem to be separated by {found!r}: {advice}" if found else ""


def _key_name(schema: Schema | None, names: Iterable[str]) -> str:
    return schema.register.name if schema and schema.register else next(iter(names), "")


def _record(line: int, item: Item, key_name: str) -> TableRow:
    key = item.get(key_name)
    if not isinstance(key, str) or not key:
        raise _rejected(line, f"no {key_name}, which is the key", field=key_name)
    return TableRow(key, item, line)


def _parse_row(line: int, members: dict[str, Any], schema: Schema | None) -> TableRow:
    if members.keys() >= _ENTRY and members.keys() <= _ENTRY_LINE:
        return _parse_entry_row(line, members)
    return _record(line, parse_item(canonical.format(members)), _key_name(schema, members))


def _parse_entry_row(line: int, members: dict[str, Any]) -> TableRow:
    item = None
    if "item-base64" in members:
        raise Malformed("the item is unreadable: what its log holds is no item of a register, and no register takes it")
    if "item" in members:
        data = canonical.format(members.pop("item"))
        item, digest = parse_item(data), format_hash(item_hash(data))
        if members.setdefault("item-hash", digest) != digest:
            raise Malformed("the item does not have the item-hash")
    entry = parse_entry(canonical.format(members))
    return TableRow(entry.key, item, line, entry.timestamp, entry.type, entry.item_hash)


def _rejected(line: int, reason: str, field: str = "") -> Rejected:
    return Rejected(f"line {line}: {reason}", rule="table", field=field, line=line)
