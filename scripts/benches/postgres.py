"""The Postgres servers of a benchmark: the embedded one, with the settings that a peer needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mintmark.postgres.server import EmbeddedServer

# What logical replication needs on both sides; whatever is measured beside it has the same.
REPLICATION = {"wal_level": "logical", "max_wal_senders": "4", "max_logical_replication_workers": "4"}


def postmaster(server: EmbeddedServer) -> int:
    """The process id of a server that runs."""
    return int((server.directory / "data" / "postmaster.pid").read_text().split()[0])
