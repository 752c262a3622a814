"""One thing that is wrong with a row, named so that a person finds it."""

from __future__ import annotations

from typing import NamedTuple


class Damage(NamedTuple):
    """A row of a log, by table and key, and what is wrong with it."""

    origin: str
    table: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.table} {self.key}: {self.what}"
