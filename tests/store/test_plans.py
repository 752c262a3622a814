"""No statement reads a whole log, or another's, for what an index finds: whatever the planner's statistics say.

The database holds entries of other registers and was analysed; then a log comes that no statistics have seen. For the
planner it has one row. Each statement runs on it, and the pages that it read are counted: a few for each row it needs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.store.connection.session import Connection
from mintmark.store.fsck import fsck_store, repairs
from mintmark.store.log import log_store, writer
from mintmark.store.mint import mint_store
from mintmark.store.mirror import commit, progress, withheld
from mintmark.store.registers import bulk, entry_pages, links, record_pages, register_store
from tests.support.used import fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    Statement = tuple[str, Mapping[str, Any]]

LOG, SIZE = 77, 20_000  # every key has two entries: key N at N and at N + SIZE / 2
KEYS = SIZE // 2
PAGES = 60  # that a statement may read, for a few rows
OTHER_LOGS = {"few and large": 4, "many and small": 20_000}
NEW_LOG = f"""
    insert into log (id, origin, name, kind) overriding system value
        values ({LOG}, 'plans.example/new', 'new', 'register');
    insert into entry (log, index, leaf_hash, type, key, timestamp, item_hash, item, superseded_by, number, live)
    select {LOG}, n, sha256(n::text::bytea), 'user', 'K' || lpad((n % {KEYS})::text, 6, '0'),
           '2025-01-01T' || to_char(n * interval '1 s', 'HH24:MI:SS') || 'Z', sha256(('new ' || n % {KEYS})::bytea),
           jsonb_build_object('key', 'K' || n % {KEYS}, 'name', 'New ' || n),
           case when n < {KEYS} then n + {KEYS} end, n + 1, least(n + 1, {KEYS})
    from generate_series(0, {SIZE} - 1) as n;
    insert into tile (log, level, index, width, hashes)
    select {LOG}, 0, n, 256, repeat('x', 8192)::bytea from generate_series(0, {SIZE} / 256 - 1) as n;
    insert into bundle (log, index, width, entries, items)
    select {LOG}, n, 256, repeat('x', 3000)::bytea, repeat('y', 3000)::bytea
    from generate_series(0, {SIZE} / 256 - 1) as n;
    insert into missing (log, index, by) select {LOG}, n, n + 1 from generate_series(0, {SIZE} - 1) as n;
"""
NEW_REQUESTS = f"""
    insert into log (id, origin, name, kind) overriding system value
        values ({LOG}, 'plans.example/new', 'new', 'register');
    insert into tile (log, level, index, width, hashes)
    select {LOG}, 0, n, 256, repeat('x', 8192)::bytea from generate_series(0, {SIZE} - 1) as n;
    insert into bundle (log, index, width, entries, items)
    select {LOG}, n, 256, repeat('x', 3000)::bytea, repeat('y', 3000)::bytea from generate_series(0, {SIZE} - 1) as n;
    insert into request (log, id, digest, first, count)
    select {LOG}, substr(sha256(n::text::bytea), 1, 16), sha256(n::text::bytea), n, 1
    from generate_series(0, {SIZE} - 1) as n;
"""

DIGEST = "sha256('new 7'::bytea)"
BASE: dict[str, Any] = {"log": LOG, "size": SIZE, "limit": 10, "start": 100, "index": SIZE - 1}
KEY = {**BASE, "key": "K000007"}
LOOKUPS = json.dumps([{"at": at, "log": LOG, "size": SIZE, "key": f"K{at:06}"} for at in range(3)])
ITEM = bytes.fromhex("00" * 32)


def page(order: record_pages.Order, name: str) -> str:
    beyond, by = record_pages.ORDERS[order]
    return record_pages.SQL[name].format(match="true", beyond=beyond, order=by)


PAGE = {**BASE, "key": "K000100", "entry": SIZE - 100, "offset": 0, "window": 20}
READS: dict[str, Statement] = {
    "mirror/supersede": (
        commit.SQL["supersede"],
        {**BASE, "keys": json.dumps([{"type": "user", "key": f"K{n:06}", "at": SIZE} for n in range(3)])},
    ),
    "mirror/erase_rows": (commit.SQL["erase_rows"], {**BASE, "indices": [3, 4, 5]}),
    "mirror/put_missing": (commit.SQL["put_missing"], {**BASE, "indices": [SIZE + 3], "by": [None], "source": "s"}),
    "mirror/page": (withheld.SQL["page"], {**BASE, "after": -1, "most": 10}),
    "mirror/take": (withheld.SQL["take"], {**BASE, "indices": [3, 4, 5]}),
    "mirror/show": (commit.SQL["show"], {**BASE, "root": ITEM, "note": b""}),
    "mirror/put_leaves": (commit.SQL["put_leaves"], {**BASE, "start": SIZE + 5, "hashes": ITEM}),
    "mirror/upsert_tiles": (
        writer.SQL["upsert_tiles"].format(table="tile"),
        {**BASE, "levels": [0], "indices": [3], "widths": [256], "hashes": [bytes(8192)]},
    ),
    "mirror/grow_bundle": (
        writer.SQL["grow_bundle"],
        {**BASE, "index": 3, "width": 256, "held": 256, "entries": b"", "items": b""},
    ),
    "log/tiles": (
        log_store.SQL["tiles"].format(table="tile"),
        {"addresses": json.dumps([{"at": n, "log": LOG, "level": 0, "index": n} for n in range(3)])},
    ),
    "log/bundles": (log_store.SQL["bundles"], {**BASE, "first": 3, "stop": 6, "max_bytes": 9000}),
    "register/latest": (register_store.SQL["latest"], {"lookups": LOOKUPS}),
    "register/existing": (register_store.SQL["existing"], {"lookups": LOOKUPS}),
    "register/by_number": (register_store.SQL["by_number"], {**BASE, "number": 9_000}),
    "register/by_item": (register_store.SQL["by_item"].replace("%(digest)s", DIGEST), BASE),
    "register/definitions": (register_store.SQL["definitions"], {**BASE, "start": 0}),
    "register/counts": (register_store.SQL["counts"], BASE),
    "register/size_at": (
        register_store.SQL["size_at"].replace("limit 5000", "limit 100"),
        {**BASE, "time": "2025-01-01T02:00:00Z"},
    ),
    "register/growth": (register_store.SQL["growth"], {**BASE, "numbers": [1, 9_000, SIZE]}),
    "entries/numbered": (entry_pages.SQL["numbered"], BASE),
    "entries/indexed": (entry_pages.SQL["indexed"], BASE),
    "entries/trail": (entry_pages.SQL["trail"], {**KEY, "after": -1}),
    "entries/history": (entry_pages.SQL["history"], KEY),
    "entries/changes": (entry_pages.SQL["changes"], {**BASE, "before": KEYS, "start": SIZE - 5, "window": 5}),
    "entries/window_end": (entry_pages.SQL["window_end"], {**BASE, "window": 50}),
    "records/page by key": (page("key", "page"), PAGE),
    "records/page newest": (page("newest", "page"), PAGE),
    "records/window_end by key": (page("key", "window_end"), PAGE),
    "records/window_end newest": (page("newest", "window_end"), PAGE),
    "bulk/records": (bulk.SQL["records"], {**BASE, "start": KEYS}),
    "bulk/cells": (bulk.SQL["cells"].format(values="null"), {**BASE, "start": KEYS + 1}),
    "bulk/numbered": (bulk.SQL["numbered"], {**BASE, "start": KEYS + 1}),
    "bulk/entries": (bulk.SQL["entries"], {**BASE, "types": ["user"], "first": 0, "own": False}),
    "bulk/entries_items_once": (bulk.SQL["entries_items_once"], {**BASE, "types": ["user"], "first": 0, "own": False}),
    "bulk/first_inexpressible": (
        bulk.SQL["first_inexpressible"],
        {**BASE, "start": SIZE - 50, "types": ["user"]},
    ),
    "links/newest_referrers": (
        links.SQL["newest_referrers"].replace(f"limit {links.NEWEST_ENTRIES}", "limit 50"),
        {"logs": [LOG], "sizes": [SIZE], "fields": ["name"], "values": ['"New 19999"'], "limit": 5},
    ),
    "fsck/tiles": (fsck_store.SQL["tiles"].format(table="tile"), {**BASE, "levels": [0, 0], "indices": [3, 4]}),
    "fsck/prior": (
        fsck_store.SQL["prior"],
        {**BASE, "types": ["user"], "keys": ["K000007"], "start": SIZE, "bad": [-1]},
    ),
    "fsck/set_superseded": (repairs.SQL["set_superseded"], {**BASE, "index": 7}),
    "mirror/leaf_index": (progress.SQL["leaf_index"], {**BASE, "leaf_hash": ITEM}),
}
# Statements that are not asked for one log's rows, that read all of them by their purpose, or few in a small table.
OTHERS = {
    *("mirror/move", "mirror/copy_entries", "log/insert_tile", "log/insert_bundle", "records/words", "records/found"),
    *("links/referrers", "mirror/follow", "mirror/progress"),
    "bulk/with_value",  # reads what the GIN index holds back, 4 MB at most whatever the log's size; its plan is below
}
MINT_READS: dict[str, Statement] = {
    "mint/tiles": (mint_store.SQL["tiles"], {**BASE, "levels": [0, 0], "indices": [3, 4]}),
    "mint/items": (mint_store.SQL["items"], {**BASE, "indices": [3, 4, 5]}),
    "mint/answered": (mint_store.SQL["answered"], {**BASE, "ids": [bytes(16), bytes(15) + b"1"]}),
}


def nodes(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", []) for node in nodes(below))]


async def explained(conn: Connection, query: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plan of a statement that ran, and what it read; nothing of it stays."""
    async with conn.transaction(force_rollback=True):
        text = f"explain (analyze, buffers, timing off, format json) {query}"
        row = await (await conn.execute(text.encode(), args)).fetchone()
    assert row is not None
    plan: Mapping[str, Any] = row[0][0]["Plan"]
    return plan


async def reads_little(conn: Connection, query: str, args: Mapping[str, Any]) -> None:
    plan = await explained(conn, query, args)
    scanned = {node.get("Relation Name") for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
    assert not scanned & {"entry", "tile", "bundle", "missing", "request", "v1_tile"}
    reading = plan["Plans"] if plan["Node Type"] == "ModifyTable" else [plan]  # writing has its own price
    pages = sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in reading)
    assert pages <= PAGES, json.dumps(plan, indent=1)


@pytest.fixture(scope="module", params=OTHER_LOGS)
def used(request: pytest.FixtureRequest, postgres: Any) -> Any:
    """A used read database into which a log came that its statistics have never seen."""
    name = postgres.create("read")
    database = postgres.server.conninfo(name)
    fill(database, 40_000, OTHER_LOGS[request.param])
    yield database
    postgres.drop(name)


@pytest.fixture
async def conn(used: str) -> AsyncIterator[Connection]:
    async with await Connection.connect(used, autocommit=True) as conn:
        row = await (await conn.execute("select count(*) from log where id = %s", (LOG,))).fetchone()
        if row == (0,):
            await conn.execute("alter table entry set (autovacuum_enabled = off)")
            await conn.execute("create index entry_leaf on entry (log, leaf_hash)")
            await conn.execute(NEW_LOG.encode())
        yield conn


@pytest.mark.parametrize("name", READS)
async def test_a_statement_reads_no_more_than_it_needs(conn: Connection, name: str) -> None:
    await reads_little(conn, *READS[name])


async def test_a_value_is_looked_for_in_the_index_of_values_alone(conn: Connection) -> None:
    """Of what is found, the other two say why an item is not there."""
    values = [json.dumps({str(LOG): {name: ""}}) for name in ("key", "name")]
    plan = nodes(await explained(conn, bulk.SQL["with_value"], {**BASE, "values": values}))
    assert {node["Index Name"] for node in plan if "Index Name" in node} == {
        "entry_value",
        "entry_pkey",
        "missing_pkey",
    }
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]


async def test_so_do_a_mint_s(mint_db: str) -> None:
    async with await Connection.connect(mint_db, autocommit=True) as conn:
        await conn.execute(NEW_REQUESTS.replace(str(LOG), "1").replace("plans.example/new", "a/o").encode())
        await conn.execute("analyze")
        await conn.execute(NEW_REQUESTS.replace("'new'", "'other'").encode())
        for query, args in MINT_READS.values():
            await reads_little(conn, query, args)


def test_every_statement_is_here() -> None:
    rooms = {
        "mirror": commit.SQL,
        "register": register_store.SQL,
        "entries": entry_pages.SQL,
        "bulk": bulk.SQL,
        "links": links.SQL,
        "records": record_pages.SQL,
        "log": log_store.SQL | writer.SQL,
    }
    fragments = {"absence", "bare", "before_size", "columns"}
    known = {name.split("/")[1].split(" ")[0] for name in (*READS, *OTHERS)}
    assert {name for sql in rooms.values() for name in sql} - fragments <= known
