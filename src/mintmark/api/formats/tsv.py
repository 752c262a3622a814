"""TSV: unquoted, LF. It cannot say a tab or a line break: each is replaced by one space, and a header says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api.formats.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.api.models import Answer

_BREAKS = str.maketrans("\t\r\n", "   ")


def render(answer: Answer) -> bytes:
    """The answer's table."""
    found = table(answer)
    return print_rows([found.header, *found.rows])


def print_rows(rows: Iterable[Sequence[str | None]]) -> bytes:
    """Lines, each with its LF; a cell that is None is empty."""
    return "".join(["\t".join([_cell(cell) if cell else "" for cell in row]) + "\n" for row in rows]).encode()


def _cell(text: str) -> str:
    """Most have nothing to replace, and to look is faster than to replace."""
    return text.translate(_BREAKS) if "\t" in text or "\n" in text or "\r" in text else text
