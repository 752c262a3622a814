"""Incident 17: an ANALYZE on the request path (Tiger, 2025).

No statement of any request reads a table as a whole: each reads as many rows of a log of twenty thousand entries as of
one of two thousand. Counted by Postgres itself, so no clock is asked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from mintmark.api.app import App
from mintmark.register.entry import Entry, EntryType, format_entry
from mintmark.register.item import format_hash, item_hash
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.store.registers.register_store import RegisterStore
from mintmark.tlog.kernel import leaf_hash
from tests.support.minting import ORIGIN, Keys, request
from tests.support.places import mirror, served
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mintmark.client.mint_client import MintClient

SMALL, LARGE = 2_000, 20_000
FREE = 400  # rows that a request may read at any size: a page of a hundred, and what belongs to it
DEFINITIONS: list[tuple[str, bytes]] = [
    ("name", b'{"name":"things"}'),
    ("field:things", b'{"cardinality":"1","datatype":"string","field":"things"}'),
    ("field:word", b'{"cardinality":"1","datatype":"string","field":"word"}'),
    ("register:things", b'{"fields":["things","word"],"register":"things"}'),
]
READ = """
    select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), sum(analyze_count) from pg_stat_user_tables"""


def things(size: int) -> World:
    """A register of so many records, each of which was changed once."""
    world = World(ORIGIN, "register")
    rows: list[tuple[EntryType, str, bytes]] = [("system", key, item) for key, item in DEFINITIONS]
    for number in range(size):
        key = str(number % (size // 2))
        rows.append(("user", key, b'{"things":"%s","word":"w%d"}' % (key.encode(), number)))
    entries = [Entry(key, "2026-01-01T00:00:00Z", kind, item_hash(item)) for kind, key, item in rows]
    world.append([format_entry(entry) for entry in entries], [item for _, _, item in rows])
    return world


class Counter:
    """A pool of one connection, and how many rows a piece of work made it read."""

    def __init__(self, pool: Any, database: str) -> None:
        self.pool, self.database = pool, database
        self.analysed: int | None = None

    async def rows(self, work: Callable[[], Awaitable[object]]) -> int:
        await self._flush()
        before = await self._read()
        await work()
        await self._flush()
        return await self._read() - before

    async def _flush(self) -> None:
        async with self.pool.connection() as conn:
            await conn.execute("select pg_stat_force_next_flush()")
        async with self.pool.connection() as conn:
            await conn.execute("select 1")

    async def _read(self) -> int:
        async with await psycopg.AsyncConnection.connect(self.database) as conn:
            row = await (await conn.execute(READ)).fetchone()
        assert row is not None
        analysed = int(row[1])
        assert self.analysed in (None, analysed), "a request analysed"
        self.analysed = analysed
        return int(row[0])


def pages(world: World) -> dict[str, str]:
    """A path of each kind."""
    item = format_hash(item_hash(world.items[-1]))
    size = world.size
    users = size - len(DEFINITIONS)
    return {
        "register": "/things/register.json",
        "home": "/things.html",
        "records": "/things/records.json",
        "records, a page": "/things/records.json?page-index=3",
        "record": "/things/records/7.json",
        "record, html": "/things/records/7.html",
        "record, once": f"/things/records/7.json?at={size // 2}",
        "history": "/things/records/7/entries.json",
        "entries": "/things/entries.json",
        "entries, the last": f"/things/entries.json?start={users - 50}",
        "entry": f"/things/entries/{users - 5}.json",
        "item": f"/things/items/{item}.json",
        "proof of a record": "/things/records/7.proof",
        "proof of the register": "/things/proof/register/merkle:sha-256",
        "proof of an entry": f"/things/proof/entries/10/{users}/merkle:sha-256",
        "proof of growth": f"/things/proof/consistency/{users // 2}/{users}/merkle:sha-256",
        "checkpoint": "/things/log/checkpoint",
        "log entries": "/things/log/entries.json",
        "facet": f"/things/records/word/w{users - 3}.json",
        "search": f"/things/search.json?q=w{users - 3}",
        "referrers": "/things/records/7/referrers.json",
        "what changed last": f"/things/diff.json?from={size - 20}&to={size}",
    }


def calls(client: MintClient, world: World) -> dict[str, Callable[[], Awaitable[object]]]:
    """A gRPC call of each kind."""
    size, leaf = world.size, leaf_hash(world.entries_[-9])

    async def entries() -> None:
        async for _ in client.entries(ORIGIN, size - 300, size, size):
            pass

    return {
        "ListLogs": client.logs,
        "GetCheckpoint": lambda: client.checkpoint(ORIGIN),
        "GetEntries": entries,
        "GetTiles": lambda: client.tiles(ORIGIN, [(0, 1, 256), (1, 0, 5)]),
        "GetInclusionProof": lambda: client.inclusion(ORIGIN, index=size // 3, size=size),
        "GetInclusionProof by hash": lambda: client.inclusion(ORIGIN, leaf_hash=leaf, size=size),
        "GetConsistencyProof": lambda: client.consistency(ORIGIN, size // 3, size),
    }


async def measured(database: str, size: int) -> dict[str, int]:
    """The rows that each request reads in a log of a size."""
    world, found = things(size), {}
    async with open_pool(database, 1) as pool:
        await mirror(ReadStore(pool), world)
        async with pool.connection() as conn:
            await conn.execute("create index entry_leaf on entry (log, leaf_hash)")
            await conn.execute("analyze")  # as the database does by itself, in time, and no request ever
        counter, store = Counter(pool, database), RegisterStore(pool)
        app = App(store, {})
        await app.registers.refresh()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things") as browser:
            for name, path in pages(world).items():

                async def get(path: str = path) -> None:
                    answer = await browser.get(path)
                    assert answer.status_code == 200, (path, answer.text[:300])

                await get()  # what is read once, and kept, is read now
                found[name] = await counter.rows(get)
        async with served(ReadStore(pool)) as client:
            for name, call in calls(client, world).items():
                found[name] = await counter.rows(call)
    return found


async def test_no_read_looks_at_more_rows_of_a_larger_log(new_database: Callable[[str], str]) -> None:
    small, large = await measured(new_database("read"), SMALL), await measured(new_database("read"), LARGE)
    grown = {name: (small[name], rows) for name, rows in large.items() if rows > max(2 * small[name], FREE)}
    assert not grown, "rows read at 2,000 and at 20,000 entries"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_no_append_looks_at_the_log(mint_db: str, tmp_path: Path, size: int) -> None:
    keys = Keys(tmp_path)
    async with keys.logs(mint_db) as logs:
        await logs.create(ORIGIN, "opaque", False)
        log = await logs.store.log(ORIGIN)
        await logs.append(log, request([os.urandom(9) for _ in range(size)]))
    async with open_pool(mint_db, 1) as pool, keys.logs(mint_db) as logs:
        counter = Counter(pool, mint_db)
        logs.store.pool = pool

        async def append() -> None:
            await logs.append(log, request([b"one more"]))

        await append()  # what is read at the start
        assert await counter.rows(append) < 50
