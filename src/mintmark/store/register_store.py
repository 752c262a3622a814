"""Registers as rows, for the read API: every query names the size that it reads at, which is never past a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mintmark.register.item import Item


class Row(NamedTuple):
    """An entry. `number` counts user entries from 1, this one included (None: a system entry).

    `item_hash` is None for a tombstone; `item` is None then, and once it was erased.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a row
    type: str
    number: int | None
    key: str
    timestamp: str
    item_hash: bytes | None
    item: Item | None

    @property
    def ended(self) -> bool:
        """Whether the entry ends its record."""
        return self.item_hash is None

    @property
    def erased(self) -> bool:
        """Whether the item was erased."""
        return self.item_hash is not None and self.item is None
