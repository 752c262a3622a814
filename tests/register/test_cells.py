"""Cells of CSV and TSV: what is written is read back, by our reader and by others; what others write is read too."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Rejected
from mintmark.register.cells import join_list, print_csv, print_tsv, read_csv_rows, read_tsv_rows, split_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reader = Callable[[bytes], Iterator[tuple[int, list[str]]]]
    Printer = Callable[[list[list[str]]], bytes]

ANY = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
AWKWARD = st.text('"\t\n\r,; x[]', max_size=6)
cells = ANY | AWKWARD
rows = st.lists(st.tuples(cells.filter(bool), cells, cells).map(list), max_size=5)
FORMATS = [(print_csv, read_csv_rows, ","), (print_tsv, read_tsv_rows, "\t")]


def trimmed(row: list[str]) -> list[str]:
    """A row without its empty cells at the end."""
    while row and not row[-1]:
        row = row[:-1]
    return row


@given(rows, st.sampled_from(FORMATS))
def test_what_is_written_is_read_back(table: list[list[str]], kind: tuple[Printer, Reader, str]) -> None:
    write, read, delimiter = kind
    data = write([["a", "b", "c"], *table])
    assert [found for _, found in read(data)] == [["a", "b", "c"], *map(trimmed, table)]
    theirs = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True)
    assert list(theirs) == [["a", "b", "c"], *table]


@given(rows)
def test_tsv_of_other_writers_is_read(table: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *table])
    found = [row for _, row in read_tsv_rows(text.getvalue().encode())]
    assert found == [["a", "b", "c"], *map(trimmed, table)]


@given(st.lists(st.tuples(*[st.text('" x;[],', max_size=5)] * 2), min_size=1, max_size=5))
def test_tsv_without_a_quote_that_begins_a_cell_is_what_it_says(table: list[tuple[str, str]]) -> None:
    plain = [["k" + first, "v" + second] for first, second in table]
    data = "".join("\t".join(row) + "\n" for row in [["a", "b"], *plain]).encode()
    assert [row for _, row in read_tsv_rows(data)] == [["a", "b"], *plain]


def test_a_row_of_tsv_that_needs_quotes_has_them_around_each_cell() -> None:
    assert print_tsv([["a", "b"], ["1", "x"], ["2", 'say "no"'], ["3", "\t"], ["4", "\r"], ["5", None]]) == (
        b'a\tb\n1\tx\n"2"\t"say ""no"""\n"3"\t"\t"\n"4"\t"\r"\n5\t\n'
    )


def test_a_value_that_looks_like_rows_is_a_value() -> None:
    """Without the quotes around the keys it would be three whole rows of unquoted TSV, and is read so."""
    table = [["a", "b"], ["1", "x\n2\ty\n3\tz"]]
    assert [row for _, row in read_tsv_rows(print_tsv(table))] == table
    unquoted = b'a\tb\n1\t"x\n2\ty\n3\tz"\n'
    assert [row for _, row in read_tsv_rows(unquoted)] == [["a", "b"], ["1", '"x'], ["2", "y"], ["3", 'z"']]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "=cmd|' /C calc'!A0"])
def test_what_a_spreadsheet_takes_for_a_formula_is_not_changed(cell: str) -> None:
    for write, read, _ in FORMATS:
        assert [row for _, row in read(write([["a", "b"], ["1", cell]]))] == [["a", "b"], ["1", cell]]


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        (["a"], "a"), (["a", "b"], "a;b"), (["a", "", "b"], "a;;b"), (["", ""], ";"), ([" "], " "),
        ([], "[]"), ([""], '[""]'), (["a;b", "c"], '["a;b","c"]'), ([";"], '[";"]'), (["ü;\n"], '["ü;\\n"]'),
        (["[]"], '["[]"]'), (['["a"]'], r'["[\"a\"]"]'), (['["a', 'b"]'], r'["[\"a","b\"]"]'),
        (["[1.0,2.0]"], "[1.0,2.0]"),
        (['"a"'], '"a"'), (["[", "]"], "[;]"), (["[a]"], "[a]"),
    ],
)  # fmt: skip
def test_a_list_is_one_cell(values: list[str], cell: str) -> None:
    assert join_list(values) == cell
    assert split_list(cell) == values


@pytest.mark.parametrize("cell", ['["a"', '["a";"b"]', '["a",1"]', '["a"]]"]', '["\\ud800"]', '["a","b"] ', " []"])
def test_what_is_no_json_is_split_at_semicolons(cell: str) -> None:
    assert split_list(cell) == cell.split(";")


@given(st.lists(ANY | st.text(';"[],\\ a', max_size=6), max_size=4))
def test_any_list_is_read_back(values: list[str]) -> None:
    cell = join_list(values)
    assert cell
    assert split_list(cell) == values
    assert values == (json.loads(cell) if cell[0] == "[" and cell != ";".join(values) else cell.split(";"))


@given(st.lists(ANY.filter(lambda text: text and ";" not in text and "[" not in text), min_size=1, max_size=4))
def test_a_list_of_an_older_file_is_what_it_was(values: list[str]) -> None:
    assert split_list(";".join(values)) == values


@given(st.binary(max_size=60) | st.text('ab",;\t\n\r ').map(str.encode))
def test_any_bytes_are_rows_or_rejected(data: bytes) -> None:
    for read in (read_csv_rows, read_tsv_rows):
        with contextlib.suppress(Rejected):
            assert all(row[-1] for _, row in read(data))
