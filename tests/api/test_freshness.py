"""Every answer about a log says how fresh the log is: in a header, on pages, in a register's JSON."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.api.server import opened
from mintmark.errors import Fork
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.api.conftest import connect
from tests.support.lighthouse import ROWS
from tests.support.read_api import mirror, world
from tests.support.read_back import Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from mintmark.api.app import App
    from tests.support.postgres import TestPostgres

ORIGIN = "registers.test/lighthouse"
SIZE = len(ROWS)
ANSWERS = [
    *("", ".html", "/records.json", "/records/FAR.html", "/records/FAR.csv?at=11", "/records/nobody", "/entries.jsonl"),
    *("/records/FAR.proof", "/log/checkpoint", "/log/tile/0/000.p/11", "/download-records.csv", "/download-register"),
    *("/record/FAR", "/records.exe", "/records/", "/search?q=x&q=y", "/nothing/at/all"),
]


@pytest.fixture
async def store(read_db: str) -> AsyncIterator[ReadStore]:
    """A read database with one register, which no source was heard about."""
    await mirror(read_db, world("lighthouse", ROWS))
    async with open_pool(read_db, 2) as pool:
        yield ReadStore(pool)


@pytest.fixture
async def app(store: ReadStore, read_db: str) -> AsyncIterator[App]:
    async with opened(read_db, {}) as app:
        yield app


async def get(app: App, path: str = "/lighthouse.json", **headers: str) -> httpx.Response:
    """An answer, by what the database says now."""
    await app.registers.refresh()
    async with connect(app) as client:
        return await client.get(path, headers=headers)


async def confirm(store: ReadStore, fresh_for: float = 3600) -> None:
    await store.freshness.confirm_once({ORIGIN: 0.0}, fresh_for)


async def behind(store: ReadStore) -> str:
    await confirm(store)
    await store.freshness.offer({ORIGIN: SIZE + 7})
    return "behind; lag=7"


async def unknown(store: ReadStore) -> str:
    async with store.pool.connection() as conn:
        await conn.execute("insert into last_confirmation select id, '2026-03-01 08:00Z', '2026-03-01 08:01Z' from log")
    return "unknown; since=2026-03-01T08:00:00Z"


async def current(store: ReadStore) -> str:
    await confirm(store)
    return "current"


async def stopped(store: ReadStore) -> str:
    await confirm(store)
    log = await store.log(ORIGIN)
    await store.evidence.contradict(log.id, Fork("two trees of 11", b"one\n", b"another <b>\n"), "mint:1", stop=True)
    return "stopped"


FULL = "/lighthouse?full=1"
STATES = [current, behind, unknown, stopped]


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_about_a_log_says_how_fresh_it_is(app: App, store: ReadStore, path: str) -> None:
    value = await behind(store)
    answer = await get(app, f"/lighthouse{path}")
    assert answer.headers.get_list("mintmark-freshness") == [value]


@pytest.mark.parametrize("path", ["/", "/robots.txt", "/openapi.json", "/nowhere", "/-/docs"])
async def test_other_answers_say_nothing_of_it(app: App, path: str) -> None:
    assert "mintmark-freshness" not in (await get(app, path)).headers


async def test_on_a_registers_own_host(app: App, store: ReadStore) -> None:
    value = await behind(store)
    await app.registers.refresh()
    async with connect(app, "lighthouse.registers.test") as client:
        assert (await client.get("/records.json")).headers["mintmark-freshness"] == value


@pytest.mark.parametrize("state", STATES)
async def test_each_state_in_header_json_and_page(app: App, store: ReadStore, state: Any) -> None:
    value = await state(store)
    answer = await get(app, FULL)
    assert answer.headers["mintmark-freshness"] == value
    assert answer.json()["freshness"] == (await get(app, "/.json")).json()[0]["freshness"]
    assert answer.json()["freshness"]["state"] == state.__name__
    for path in ("/lighthouse.html", "/lighthouse/records.html", "/lighthouse/records/FAR.html"):
        text = Page((await get(app, path)).text).text
        assert re.search(rf"\b{state.__name__.capitalize()}\b", text), path
        assert ("The evidence" in text) == (state is stopped)
    listed = Page((await get(app, "/.html")).text).text
    assert (state.__name__.capitalize() in listed) == (state is not current)


async def test_a_stopped_log_shows_its_evidence(app: App, store: ReadStore) -> None:
    await stopped(store)
    fresh = (await get(app, FULL)).json()["freshness"]
    (evidence,) = fresh["evidence"]
    assert fresh["reason"] == "Fork: two trees of 11"
    assert (evidence["kind"], evidence["reason"]) == ("Fork", "two trees of 11")
    assert evidence["notes"] == ["one\n", "another <b>\n"]
    html = (await get(app, "/lighthouse/records/FAR.html")).text
    assert "two trees of 11" in html
    assert "another &lt;b&gt;" in html
    await store.evidence.resume((await store.log(ORIGIN)).id)
    assert (await get(app, FULL)).json()["freshness"] == {"state": "current"}


@pytest.mark.parametrize("format_", ["json", "html"])
async def test_the_entity_tag_changes_with_what_is_shown(app: App, store: ReadStore, format_: str) -> None:
    path, tags = f"/lighthouse.{format_}", []
    for state in (unknown, current, behind, stopped):
        await state(store)
        tags.append((await get(app, path)).headers["etag"])
    assert len(set(tags)) == 4
    again = await get(app, path, **{"If-None-Match": tags[-1]})
    assert (again.status_code, again.headers["mintmark-freshness"]) == (304, "stopped")


async def test_the_tag_of_a_record_is_that_of_its_register(app: App, store: ReadStore) -> None:
    """Only pages say how fresh the log is: programs need not fetch what did not change."""
    path, tags = "/lighthouse/records/FAR.json", set()
    for state in (unknown, current, behind, stopped):
        await state(store)
        tags.add((await get(app, path)).headers["etag"])
    assert len(tags) == 1


async def test_what_was_read_grows_old_where_the_database_is_gone(
    app: App, store: ReadStore, read_db: str, postgres: TestPostgres
) -> None:
    """No request asks the database for it."""
    await confirm(store, 3600)
    await app.registers.refresh()
    async with connect(app) as client:
        assert (await client.get("/lighthouse.json")).headers["mintmark-freshness"] == "current"
        database = conninfo_to_dict(read_db)["dbname"]
        postgres.execute(f"alter database {database} allow_connections false")
        postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")
        assert (await client.get("/lighthouse.json")).headers["mintmark-freshness"] == "current"
        app.registers._freshness._read_at -= 4000
        answer = await client.get(FULL)
    assert answer.headers["mintmark-freshness"].startswith("unknown; since=")
    assert answer.json()["freshness"]["since"] == answer.headers["mintmark-freshness"].partition("=")[2]


async def test_a_copy_that_lags_behind_its_own_database_says_so(app: App, store: ReadStore, read_db: str) -> None:
    """The head that is shown counts, not the one that the database has by now."""
    await confirm(store)
    await app.registers.refresh()
    cached = app.registers.cached["lighthouse"]
    cached.head = replace(cached.head, size=SIZE - 2)
    async with connect(app) as client:
        assert (await client.get("/lighthouse.json")).headers["mintmark-freshness"] == "behind; lag=2"
