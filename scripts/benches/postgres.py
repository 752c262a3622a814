"""The Postgres servers of a benchmark: our embedded one, with other settings where a peer needs them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mintmark.postgres import server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mintmark.postgres.server import EmbeddedServer

# What logical replication needs on both sides; whatever is measured beside it has the same.
REPLICATION = {"wal_level": "logical", "max_wal_senders": "4", "max_logical_replication_workers": "4"}


def postmaster(server: EmbeddedServer) -> int:
    """The process id of a server that runs."""
    return int((server.directory / "data" / "postmaster.pid").read_text().split()[0])


@contextmanager
def settings(more: Mapping[str, str]) -> Iterator[None]:
    """Other settings for the servers that are started meanwhile."""
    plain = dict(server.SETTINGS)
    server.SETTINGS.update(more)
    try:
        yield
    finally:
        server.SETTINGS.update(plain)
