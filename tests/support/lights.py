"""The lighthouse register as a client of the mint sends it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from mintmark.register import canonical
from mintmark.register.entry import Entry, format_entry
from mintmark.tlog import bundle
from tests.support.lighthouse import DEFINITIONS, ROWS, entry
from tests.support.mint_site import LIGHTHOUSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.client.mint_client import AppendAnswer, MintClient
    from mintmark.rpc.mintmark_pb import log_pb2 as pb

    Rows = Sequence[tuple[Entry, bytes | None]]

DEFINED = len(DEFINITIONS)


def joined(rows: Rows) -> tuple[bytes, bytes]:
    """Entries and items as they travel."""
    return bundle.join(format_entry(row) for row, _ in rows), bundle.join(item or b"" for _, item in rows)


async def append(
    client: MintClient, rows: Rows, id: bytes = b"", *, origin: str = LIGHTHOUSE, legacy: bool = False
) -> AppendAnswer:
    return await client.append(origin, id or secrets.token_bytes(16), *joined(rows), legacy=legacy)


async def define(client: MintClient, origin: str = LIGHTHOUSE) -> AppendAnswer:
    """Appends the definitions."""
    return await append(client, ROWS[:DEFINED], origin=origin)


async def append_items(
    client: MintClient, items: Sequence[pb.Item], id: bytes = b"", origin: str = LIGHTHOUSE
) -> AppendAnswer:
    return await client.append_items(origin, id or secrets.token_bytes(16), items)


def light(key: str, **more: str) -> bytes:
    return canonical.format({"lighthouse": key, "name": f"The {key}", **more})


def lights(first: int, stop: int, time: str = "2024-03-02T10:30:00Z") -> Rows:
    """Records, no two alike."""
    return [(entry(f"L{number}", light(f"L{number}"), time), light(f"L{number}")) for number in range(first, stop)]
