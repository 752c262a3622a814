"""CSV and TSV: rows of cells as bytes, and bytes as rows of cells; one writer and one reader of each.

CSV is RFC 4180, with CRLF and quotes where a cell needs them. TSV is CSV with tabs, and LF. A row of ours in TSV that
needs quotes has them around each of its cells. Much published TSV has no quoting, and a quote in it is data: a reader
can tell the two apart, because such a file does not begin its rows with quotes.

A list is one cell: its values, joined with `;`. A list that this would change is a JSON array of strings instead:

    sheep;goat            two values
    ["sheep;goat","cow"]  two values, and a semicolon in one
    []      [""]          no value; one that is empty (an empty cell is no list at all)
"""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import orjson

from mintmark.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Cells = Sequence[str | None]  # None: empty
    PrintRows = Callable[[Iterable[Cells]], bytes]


def print_csv(rows: Iterable[Cells]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def print_tsv(rows: Iterable[Cells]) -> bytes:
    """Rows as TSV."""
    return "".join([_tsv_line([cell or "" for cell in row]) for row in rows]).encode()


def _tsv_line(cells: Sequence[str]) -> str:
    line = "\t".join(cells)
    if '"' in line or "\n" in line or "\r" in line or line.count("\t") >= len(cells):
        line = "\t".join(['"' + cell.replace('"', '""') + '"' for cell in cells])
    return line + "\n"


def read_csv_rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that are not blank, without trailing empty cells, each with the line it starts at.

    Raises:
        Rejected: rule "table", with the line.
    """
    return _rows(_text(data), ",", csv.QUOTE_MINIMAL)


def read_tsv_rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a TSV file, quoted or not; otherwise as `read_csv_rows`."""
    text = _text(data)
    return _rows(text, "\t", csv.QUOTE_MINIMAL if _is_quoted(text) else csv.QUOTE_NONE)


def join_list(values: Sequence[str]) -> str:
    """A list as one cell."""
    cell = ";".join(values)
    if not cell or cell.count(";") >= len(values) or _may_be_json(cell):
        return orjson.dumps(values).decode()
    return cell


def split_list(cell: str) -> list[str]:
    """The list in a cell that is not empty."""
    if _may_be_json(cell):
        try:
            values = orjson.loads(cell)
        except orjson.JSONDecodeError:
            return cell.split(";")
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return values
    return cell.split(";")


def _may_be_json(cell: str) -> bool:
    return cell == "[]" or (cell.startswith('["') and cell.endswith('"]'))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # spreadsheets write a BOM
    except UnicodeDecodeError as error:
        raise _rejected(data.count(b"\n", 0, error.start) + 1, "invalid UTF-8") from None


def _rows(text: str, delimiter: str, quoting: Literal[0, 3]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    line = 1
    try:
        for cells in reader:
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise _rejected(line, str(error)) from None


def _is_quoted(text: str) -> bool:
    """True if a TSV file reads as quoted: strictly, and no row wider than the header.

    If the table is whole without quoting, and quotes would swallow rows of it, the quotes are data; unless all rows
    with quotes begin with one, as `print_tsv` writes them.
    """
    try:
        quoted = [(line, len(cells)) for line, cells in _rows(text, "\t", csv.QUOTE_MINIMAL)]
    except Rejected:
        return False
    widths, plain = [width for _, width in quoted], [len(cells) for _, cells in _rows(text, "\t", csv.QUOTE_NONE)]
    if not widths or max(widths) > widths[0]:
        return False
    swallows = len(widths) < len(plain) and len(set(plain)) == 1
    return not swallows or not _has_quotes_inside(text, [line - 1 for line, _ in quoted])


def _has_quotes_inside(text: str, starts: Sequence[int]) -> bool:
    """True if a row has a quote, and does not begin with one; `starts` are the positions of the rows' first lines."""
    lines = io.StringIO(text, newline="").readlines()
    return any(
        not lines[start].startswith('"') and any('"' in line for line in lines[start:end])
        for start, end in pairwise([*starts, len(lines)])
    )


def _rejected(line: int, reason: str) -> Rejected:
    return Rejected(f"line {line}: {reason}", rule="table", line=line)
