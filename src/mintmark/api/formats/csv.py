"""CSV (RFC 4180): CRLF, quoted where a value has to be."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from mintmark.api.formats.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.api.models import Answer


def render(answer: Answer) -> bytes:
    """The answer's table."""
    found = table(answer)
    return print_rows([found.header, *found.rows])


def print_rows(rows: Iterable[Sequence[str | None]]) -> bytes:
    """Lines, each with its CRLF; a cell that is None is empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
