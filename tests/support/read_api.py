"""Registers in a read database, put there by the mirror's own step, and a client of the read API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from mintmark.mirror.catch_up import CatchUp
from mintmark.register.entry import format_entry
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.note import generate_skey
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.api.app import App
    from mintmark.register.entry import Entry

DOMAIN = "registers.test"
ELSEWHERE = {"company": "https://company.elsewhere.example/records/"}


def world(name: str, rows: Iterable[tuple[Entry, bytes | None]] = ()) -> World:
    """An honest register log of these entries and items."""
    origin = f"{DOMAIN}/{name}"
    made = World(origin, "register", generate_skey(origin))
    if rows := list(rows):
        made.append([format_entry(entry) for entry, _ in rows], [item or b"" for _, item in rows])
    return made


async def mirror(database: str, *worlds: World) -> None:
    """Brings each world's newest head into a read database."""
    async with open_pool(database, 2) as pool:
        for made in worlds:
            follower = CatchUp(ReadStore(pool), made.origin, made.verifiers)
            assert await follower.step(made, made.notes[-1], "register")


def connect(app: App, host: str = "registers.test") -> httpx.AsyncClient:
    """A client of an application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")
