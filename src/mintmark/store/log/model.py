"""The values that the stores return: plain, frozen, without a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mintmark.formats import LogKind as LogKind  # its users' name for it

TileKey = tuple[int, int]  # (level, index)
TileAddress = tuple[int, int, int]  # (log, level, index)


@dataclass(frozen=True, slots=True)
class Log:
    """A log that this database holds; `id` means nothing outside it."""

    id: int
    origin: str
    name: str
    kind: LogKind
    salted: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The size and root at which a log is read, and the signed note of them."""

    size: int
    root: bytes
    note: bytes
