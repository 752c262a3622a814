"""The values that the stores hand out: plain, frozen, without a connection inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mintmark.formats import LogKind as LogKind  # its users' name for it

TileKey = tuple[int, int]  # (level, index)


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
    """The size and root that a log is read at, and the signed note that says so."""

    size: int
    root: bytes
    note: bytes
