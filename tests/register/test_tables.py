from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Rejected
from mintmark.register import canonical
from mintmark.register.cells import print_csv, print_tsv
from mintmark.register.item import parse_item
from mintmark.register.schema import Schema
from mintmark.register.tables import (
    ENTRY_COLUMNS,
    TableRow,
    read_csv,
    read_jsonl,
    read_tsv,
    record_cells,
    write_jsonl,
)
from tests.support.lighthouse import DEFINITIONS, FAR, KIN, ROWS, entry, system, user
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mintmark.register.entry import Entry

    Reader = Callable[[bytes, Schema | None], Iterator[TableRow]]

SCHEMA = Schema.load(dict(DEFINITIONS))
CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


def refusal(read: Reader, data: bytes, schema: Schema | None = SCHEMA) -> Rejected:
    with pytest.raises(Rejected) as caught:
        list(read(data, schema))
    assert caught.value.rule == "table"
    assert str(caught.value).startswith(f"line {caught.value.line}: ")
    return caught.value


def test_csv_with_a_schema() -> None:
    data = (
        b"lighthouse,name,region,light-colours,start-date\r\n"
        b'FAR,"Far Point, West",W,white;red,1871\r\n'
        b"KIN,Kinnaird,N,white,\r\n"
    )
    assert list(read_csv(data, SCHEMA)) == [TableRow("FAR", parse_item(FAR), 2), TableRow("KIN", parse_item(KIN), 3)]


def test_the_key_column_may_be_anywhere() -> None:
    assert list(read_csv(b"name,lighthouse\nKinnaird,KIN\n", SCHEMA)) == [
        TableRow("KIN", {"lighthouse": "KIN", "name": "Kinnaird"}, 2)
    ]


def test_a_bare_table_is_keyed_by_its_first_column() -> None:
    rows = list(read_csv(b"code,n\n01,1e3\nNO,1871\n", None))
    assert rows == [TableRow("01", {"code": "01", "n": "1e3"}, 2), TableRow("NO", {"code": "NO", "n": "1871"}, 3)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("read", "tab"), [(read_csv, ","), (read_tsv, "\t")])
def test_quoted_cells_hold_newlines_and_delimiters(read: Reader, tab: str, end: str) -> None:
    text = f'a{tab}b{end}1{tab}"x{tab}y\nz ""w"""{end}2{tab}" v "{end}'
    assert [(row.item, row.line) for row in read(text.encode(), None)] == [
        ({"a": "1", "b": f'x{tab}y\nz "w"'}, 2),
        ({"a": "2", "b": " v "}, 4),
    ]


@pytest.mark.parametrize("cell", ['"Old" Mill', '5" pipe', '"', 'say "no"', '""a'])
def test_a_quote_in_unquoted_tsv_is_a_quote(cell: str) -> None:
    assert [row.item for row in read_tsv(f"a\tb\n1\t{cell}\n2\tx\n".encode(), None)] == [
        {"a": "1", "b": cell},
        {"a": "2", "b": "x"},
    ]


def test_an_unquoted_tsv_row_never_swallows_the_next() -> None:
    rows = [row.item for row in read_tsv(b'a\tb\n1\t"x\n2\ty\n3\tz"\n', None)]
    assert rows == [{"a": "1", "b": '"x'}, {"a": "2", "b": "y"}, {"a": "3", "b": 'z"'}]


def test_blanks_in_the_header_go_and_in_values_stay() -> None:
    assert [row.item for row in read_tsv(b"a \t b\t\n x \t y\t\t\n", None)] == [{"a": " x ", "b": " y"}]


def test_empty_cells_are_missing_values() -> None:
    assert [row.item for row in read_csv(b"a,b,c\n1,,3\n2\n3,,,,,\n", None)] == [
        {"a": "1", "c": "3"},
        {"a": "2"},
        {"a": "3"},
    ]


def test_blank_lines_and_a_mark_of_byte_order_are_skipped() -> None:
    assert [row.line for row in read_csv(b"\xef\xbb\xbf\na\n\n1\n\n2", None)] == [4, 6]
    assert next(read_csv(b"\xef\xbb\xbfa\n1\n", None)).key == "1"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"\n\n", 1),
        (b"lighthouse,height\n", 1),
        (b"lighthouse,\n,,x\n", 2),
        (b"lighthouse,,name\n", 1),
        (b"lighthouse,name,name \n", 1),
        (b"lighthouse,name\nKIN,Kinnaird,N\n", 2),
        (b"lighthouse,name\nKIN,Kinnaird\n,Far\n", 3),
        (b"name\nKinnaird\n", 2),
        (b'lighthouse,name\nKIN,"Kinn"aird\n', 2),
        (b'lighthouse,name\nKIN,"Kinn\n\naird\n', 2),
        (b"lighthouse,name\nKIN,\xff\n", 2),
        (b"lighthouse,name\nKIN," + b"x" * 200_000, 2),
    ],
)
def test_csv_refuses(data: bytes, line: int) -> None:
    assert refusal(read_csv, data).line == line


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1), st.sampled_from([(read_csv, ","), (read_tsv, "\t")])
)
def test_what_a_spreadsheet_writes_is_read(table: list[list[str]], kind: tuple[Reader, str]) -> None:
    read, delimiter = kind
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b", "c"], *([f"k{cells[0]}", *cells[1:]] for cells in table)])
    expected = [{name: cell for name, cell in zip("abc", [f"k{x}", y, z], strict=True) if cell} for x, y, z in table]
    assert [row.item for row in read(text.getvalue().encode(), None)] == expected


@given(st.binary() | st.text('ab",;\t\n\r ').map(str.encode), st.sampled_from([None, SCHEMA]))
def test_any_table_is_read_or_rejected(data: bytes, schema: Schema | None) -> None:
    for read in (read_csv, read_tsv, read_jsonl):
        for candidate in (data, b"lighthouse\tname\n" + data, b"lighthouse,name\n" + data, b'{"a":"' + data + b'"}'):
            with contextlib.suppress(Rejected):
                for row in read(candidate, schema):
                    assert row.key


TABLES = [(print_csv, read_csv), (print_tsv, read_tsv)]
NAMES = [column.name for column in SCHEMA.columns]
TEXTS = CELLS.filter(bool) | st.text('"\t\n\r,; x[]', min_size=1, max_size=6)
records = st.fixed_dictionaries(
    {"lighthouse": st.text("abc", min_size=1, max_size=3)},
    optional={
        "name": TEXTS, "region": TEXTS, "start-date": TEXTS,
        "light-colours": st.lists(CELLS | st.text(';"[],\\ a', max_size=6), max_size=3),
    },
)  # fmt: skip


@given(st.lists(records, max_size=4), st.sampled_from(TABLES), st.booleans())
def test_records_are_read_back_as_they_were_written(
    items: list[dict[str, Any]], kind: tuple[Any, Reader], beside_entries: bool
) -> None:
    write, read = kind
    before = [ENTRY_COLUMNS, *(["1", "1", "2024-03-02T10:30:00Z", item["lighthouse"]] for item in items)]
    table = [NAMES, *(record_cells(SCHEMA.columns, item["lighthouse"], item) for item in items)]
    if beside_entries:
        table = [first + cells for first, cells in zip(before, table, strict=True)]
    assert [row.item for row in read(write(table), SCHEMA)] == items


def test_a_key_beside_another_item_is_refused() -> None:
    data = ",".join([*ENTRY_COLUMNS, "lighthouse", "name"]) + "\n1,1,2024-03-02T10:30:00Z,KIN,{}\n"
    assert [row.key for row in read_csv(data.format("KIN,x").encode(), SCHEMA)] == ["KIN"]
    assert "the key is 'KIN', the item's 'FAR'" in str(refusal(read_csv, data.format("FAR,x").encode()))
    assert refusal(read_csv, data.format("").encode()).field == "lighthouse"  # it was erased


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"name": ["a", "b"]}, "record 'KIN': name is a list"), ({"name": []}, "record 'KIN': name is a list"),
        ({"light-colours": "white"}, "record 'KIN': light-colours is one string"),
        ({"light-colours": ""}, "record 'KIN': light-colours is an empty string"),
        ({"name": ""}, "record 'KIN': name is an empty string"),
    ],
)  # fmt: skip
def test_what_no_cell_can_say_is_refused_with_its_record(item: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected, match=said) as caught:
        record_cells(SCHEMA.columns, "KIN", {"lighthouse": "KIN", **item})
    assert (caught.value.rule, caught.value.field) == ("table", next(iter(item)))


def test_the_published_registers_are_the_same_data_as_csv_and_tsv(registers: Path) -> None:
    quoted = 0
    for path in sorted(registers.glob("*.rsf")):
        entries = read_rsf(path.read_bytes())
        schema = Schema.load({row.entry.key: row.item for row in entries if row.entry.type == "system"})
        items = {row.entry.key: parse_item(row.item) for row in entries if row.entry.type == "user"}
        header = [column.name for column in schema.columns]
        table = [header, *(record_cells(schema.columns, key, item) for key, item in items.items())]
        for write, read in TABLES:
            data = write(table)
            assert {row.key: row.item for row in read(data, schema)} == items, path.name
        quoted += print_tsv(table).count(b'\n"')
    assert quoted  # some of it needs quotes


def test_published_tables(registers: Path) -> None:
    rows = {path.name: list(read_tsv(path.read_bytes())) for path in (registers / "tables").glob("*.tsv")}
    assert rows["school-wls.tsv"][0].item == {
        "school-wls": "6602130",
        "name": "Ysgol Gynradd Amlwch",
        "name-cy": "Ysgol Gynradd Amlwch",
        "school-type-wls": "1",
        "principal-local-authority": "AGY",
    }
    for table in rows.values():
        assert len({row.key for row in table}) == len(table)


def test_json_lines_of_items() -> None:
    lines = b'{"name":"Kinnaird", "lighthouse":"KIN"}\n\n{"lighthouse":"FAR"}'
    expected = [
        TableRow("KIN", {"lighthouse": "KIN", "name": "Kinnaird"}, 1),
        TableRow("FAR", {"lighthouse": "FAR"}, 3),
    ]
    assert list(read_jsonl(lines, SCHEMA)) == expected
    assert [row.key for row in read_jsonl(lines.splitlines(keepends=True))] == ["Kinnaird", "FAR"]


TOMBSTONE = user("KIN", None)
ERASED: tuple[Entry, bytes | None] = (entry("KIN", KIN), None)
ERASURE = system("erase:10", b'{"authority":"The court","reason":"Personal data"}')


def test_json_lines_keep_tombstones_and_erased_items() -> None:
    rows = [*ROWS, TOMBSTONE, ERASED, ERASURE]
    read = list(read_jsonl(b"".join(write_jsonl(rows))))
    assert read == [
        TableRow(leaf.key, item and parse_item(item), line, leaf.timestamp, leaf.type, leaf.item_hash)
        for line, (leaf, item) in enumerate(rows, 1)
    ]


any_item = st.dictionaries(CELLS, CELLS | st.lists(CELLS, max_size=3), max_size=4)
any_row = st.builds(
    lambda key, item: user(key, None if item is None else canonical.format(item)),
    st.text("abc", min_size=1),
    st.none() | any_item,
)


@given(st.lists(any_row, max_size=4))
def test_any_json_lines_are_read_back(rows: list[tuple[Entry, bytes | None]]) -> None:
    data = b"".join(write_jsonl(rows))
    assert [(row.key, row.item, row.timestamp, row.type, row.item_hash) for row in read_jsonl(data)] == [
        (leaf.key, item and parse_item(item), leaf.timestamp, leaf.type, leaf.item_hash) for leaf, item in rows
    ]
    assert [json.loads(line)["key"] for line in data.split(b"\n")[:-1]] == [leaf.key for leaf, _ in rows]


def test_an_entry_line_needs_no_hash() -> None:
    (line,) = write_jsonl([ROWS[-1]])
    members = json.loads(line)
    del members["item-hash"]
    assert list(read_jsonl(json.dumps(members).encode())) == list(read_jsonl(line))


@pytest.mark.parametrize(
    "line",
    [
        b"KIN",
        b"[]",
        b'"KIN"',
        b"\xef\xbb\xbf{}",
        b"{}",
        b'{"name":"Kinnaird"}',
        b'{"lighthouse":["KIN"]}',
        b'{"lighthouse":"KIN","lighthouse":"KIN"}',
        b'{"lighthouse":"KIN","height":21}',
        b'{"lighthouse":"KIN","name":null}',
        b'{"lighthouse":"\\u0000"}',
        b'{"lighthouse":"\\ud800"}',
        b'{"key":"KIN","timestamp":"2024-03-02T10:30:00Z","type":"admin"}',
        b'{"key":"KIN","timestamp":"2024-02-30T10:30:00Z","type":"user"}',
        b'{"item":"x","key":"KIN","timestamp":"2024-03-02T10:30:00Z","type":"user"}',
        b'{"item":{"a":1},"key":"KIN","timestamp":"2024-03-02T10:30:00Z","type":"user"}',
        b'{"item":{},"item-hash":"sha-256:00","key":"KIN","timestamp":"2024-03-02T10:30:00Z","type":"user"}',
        b'{"item-hash":"sha-256:00","key":"KIN","timestamp":"2024-03-02T10:30:00Z","type":"user"}',
        b'{"index":0,"key":"KIN","timestamp":"2024-03-02T10:30:00Z","type":"user"}',
    ],
)
def test_json_lines_refuse(line: bytes) -> None:
    assert refusal(read_jsonl, b'{"lighthouse":"FAR"}\n' + line + b"\n").line == 2
