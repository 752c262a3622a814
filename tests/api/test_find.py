"""Finding records: by a value, by words; in pages that end where a window of entries ends, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.conftest import limit
from tests.support import evolving
from tests.support.published_facts import NAMES, facts, listed
from tests.support.read_back import get, pages

if TYPE_CHECKING:
    import httpx

    from mintmark.api.app import App
    from tests.support.evolving import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = evolving.rows()


@pytest.fixture(params=["few", "many", "window"])
def bounds(request: pytest.FixtureRequest, rooms: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a page is read: matches sorted, entries walked in order, entries walked in windows that end early."""
    limits = {} if request.param == "few" else {"sorted_records": 2}
    if request.param == "window":
        limits |= {"window_entries": 11, "large_register": 100}
    limit(rooms._transport.app, monkeypatch, **limits)


def having(field: str, value: str, size: int) -> dict[str, Standing]:
    """The records that have a value, by a replay."""
    return {
        key: standing
        for key, standing in evolving.state(ROWS, size).items()
        if standing.item and value in listed(json.loads(standing.item).get(field))
    }


async def keys_of(client: httpx.AsyncClient, path: str) -> list[str]:
    """The keys on all pages, a page of which may be empty."""
    found: list[str] = []
    async for page in pages(client, path):
        found += page.json()
    return found


@pytest.mark.usefixtures("bounds")
@pytest.mark.parametrize("sort", ["key", "newest"])
@pytest.mark.parametrize(("field", "value"), [("floor", "2"), ("tags", "oak"), ("tags", "über"), ("room", "R7")])
async def test_facets_are_those_that_have_the_value(
    rooms: httpx.AsyncClient, field: str, value: str, sort: str
) -> None:
    for size in (60, 300):
        wanted = having(field, value, size)
        order = sorted(wanted) if sort == "key" else sorted(wanted, key=lambda key: -wanted[key].index)
        assert await keys_of(rooms, f"/room/records/{field}/{value}?at={size}&sort={sort}&page-size=3") == order
        query = f"/room/records?name={field}&value={value}&at={size}&sort={sort}&page-size=4"
        assert await keys_of(rooms, query) == order


@pytest.mark.usefixtures("bounds")
@pytest.mark.parametrize("sort", ["key", "newest"])
async def test_lists_and_differences_go_on_past_a_window(rooms: httpx.AsyncClient, sort: str) -> None:
    for size in (7, 150, 300):
        wanted = evolving.state(ROWS, size)
        order = sorted(wanted) if sort == "key" else sorted(wanted, key=lambda key: -wanted[key].index)
        assert await keys_of(rooms, f"/room/records?at={size}&sort={sort}&page-size=9") == order
    found = []
    async for page in pages(rooms, "/room/diff?from=20&to=280&limit=4"):
        found += page.json()
    assert [(c["change"], c["key"]) for c in found] == [c[:2] for c in evolving.changes(ROWS, 20, 280)]


@pytest.mark.usefixtures("bounds")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("oak", {"oak"}),
        ("OAK lamp", {"oak", "lamp"}),
        ("lamp oa", {"lamp", "oak"}),
        ("window window wind", {"window"}),
        ("über", {"über"}),
        ("ÜBER", {"über"}),
    ],
)
async def test_search_finds_all_words_anywhere(rooms: httpx.AsyncClient, words: str, wanted: set[str]) -> None:
    for size in (100, 300):
        expected = [
            key
            for key, standing in evolving.state(ROWS, size).items()
            if wanted <= _words(json.loads(standing.item or b"{}"))
        ]
        assert expected
        found = []
        async for page in pages(rooms, f"/room/search?q={words}&at={size}&page-size=2"):
            found += page.json()
        assert found == expected


def _words(item: dict[str, Any]) -> set[str]:
    return {word for value in item.values() for text in listed(value) for word in text.split()}


@pytest.mark.parametrize("words", ["nothing", "", "   ", "&", "!!", "'", "oak & !lamp | x", "a:*", "\\", "' or 1=1 --"])
async def test_search_takes_words_and_no_language(rooms: httpx.AsyncClient, words: str) -> None:
    answer = await rooms.get("/room/search", params={"q": words})
    assert answer.status_code == 200
    if words.startswith("oak"):  # operators are not words
        assert (await rooms.get("/room/search", params={"q": "oak lamp x"})).json() == answer.json()
    for format_ in ("html", "csv", "ttl", "jsonl"):
        assert (await rooms.get(f"/room/search.{format_}", params={"q": words})).status_code == 200


async def test_a_question_is_short(rooms: httpx.AsyncClient) -> None:
    assert (await rooms.get("/room/search", params={"q": "x" * 200})).status_code == 200
    assert (await rooms.get("/room/search", params={"q": "ü" * 200})).status_code == 200
    assert (await rooms.get("/room/search", params={"q": "x" * 201})).status_code == 400
    assert (await rooms.get("/room/search")).json() == {}


async def test_every_value_of_a_published_register_is_found(client: httpx.AsyncClient, published: object) -> None:
    for name in NAMES[:6]:
        known = facts(name)
        for field in known.columns:
            values = sorted({v for key in known.latest for v in listed(known.item(key).get(field))}, key=len)
            for value in (values[:1] + values[-1:]) if values else ():
                wanted = [key for key in known.latest if value in listed(known.item(key).get(field))]
                answer = await client.get(f"/{name}/records", params={"name": field, "value": value, "page-size": 5000})
                assert list(answer.json()) == wanted, (name, field, value)


async def test_a_question_that_takes_too_long_is_given_up(app: App) -> None:
    store = app.registers.store
    for _ in range(3):  # and the connection is as good as before
        assert await store.fetch_within(0.05, "select pg_sleep(%(seconds)s)", {"seconds": 20}) is None
    assert await store.fetch_within(5, "select 1", {}) == ([(1,)], False)
    assert await store.fetch("show statement_timeout", {}) == [("0",)]


async def test_a_facet_counts_what_it_finds(rooms: httpx.AsyncClient) -> None:
    answer = await get(rooms, "/room/records/floor/1.html?page-size=2")
    assert f"1–2 of {len(having('floor', '1', 300))} records" in answer.text


async def test_what_a_cursor_says_is_checked(rooms: httpx.AsyncClient) -> None:
    assert (await rooms.get("/room/records?sort=newest&after=x")).status_code == 400
    assert (await rooms.get("/room/records?sort=sideways")).status_code == 400
    assert (await rooms.get("/room/records?sort=newest&after=9223372036854775807")).status_code == 200
    assert (await rooms.get("/room/records?after=%F4%8F%BF%BF")).json() == {}
    assert (await rooms.get("/room/records/R1/entries?after=x")).status_code == 400
    assert (await rooms.get("/room/records/R1/entries?after=300")).json() == []
    assert (await rooms.get("/room/records?page-index=99999999&page-size=5000")).status_code == 404
    assert (await rooms.get("/room/records?name=floor")).status_code == 200
    assert (await rooms.get("/room/records?value=1")).status_code == 404


async def test_a_long_walk_by_numbers_is_refused(rooms: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page 10,000 by its number would read all pages before it; the next links do not."""
    limit(rooms._transport.app, monkeypatch, window_entries=20)
    answer = await rooms.get("/room/records?page-index=4&page-size=9")
    assert answer.status_code == 400
    assert "next links" in answer.json()["detail"]
