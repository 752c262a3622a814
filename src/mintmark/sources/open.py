"""From the addresses of a configuration to sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.sources.grpc import GrpcSource
from mintmark.sources.tiles import TilesSource
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Iterable


def open_source(address: str) -> GrpcSource | TilesSource:
    """The source at an address: HOST:PORT over gRPC, a URL over HTTP. Close it in the end."""
    return TilesSource(address.rstrip("/") + "/") if "://" in address else GrpcSource(address)


def expand_addresses(addresses: Iterable[str], origins: Iterable[str]) -> list[str]:
    """The addresses of sources for these logs: a URL with `{name}` in it is one for each log, by its short name."""
    names = [short_name(origin) for origin in sorted(origins)]
    each = ([a.replace("{name}", name) for name in names] if "{name}" in a else [a] for a in addresses)
    return [address for expanded in each for address in expanded]
