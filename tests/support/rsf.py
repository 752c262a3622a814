"""The entries of an RSF file, checked as an import checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.register.rsf import RsfEntry, parse_rsf, read_entries
from mintmark.tlog.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EMPTY = Edge()


def read_rsf(
    source: bytes | Iterable[bytes],
    *,
    known: Callable[[bytes], bytes | None] = lambda digest: None,
    edge: Edge = EMPTY,
) -> list[RsfEntry]:
    return read_entries(parse_rsf(source), known=known, edge=edge)[0]
