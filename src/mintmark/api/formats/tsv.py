"""TSV: unquoted, LF. It cannot say a tab or a line break: each is replaced by one space, and a header says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api.formats.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.api.answers import Answer

_BREAKS = str.maketrans("\t\r\n", "   ")


def render(answer: Answer) -> bytes:
    """The answer's table."""
    found = table(answer)
    return print_rows([found.header, *found.rows])


def print_rows(rows: Iterable[list[str]]) -> bytes:
    """Lines, each with its LF."""
    return "".join(["\t".join([cell.translate(_BREAKS) for cell in row]) + "\n" for row in rows]).encode()
