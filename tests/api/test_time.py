"""Any time: what is read at a size or a time is what a replay of the log up to there gives; so are differences."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rdflib import Literal, URIRef

from tests.support import evolving
from tests.support.read_back import Page, get, pages, read_jsonl, read_ttl, read_yaml

if TYPE_CHECKING:
    import httpx

    from tests.support.evolving import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = evolving.rows()
SIZES = [0, 1, 5, 6, 7, 8, 50, evolving.ADDED, evolving.ADDED + 3, evolving.ADDED + 7, 200, 299, 300]
META = "https://openregister.github.io/specification/#"


def as_record(key: str, standing: Standing) -> dict[str, Any]:
    number = str(standing.number)
    item = json.loads(standing.item or b"null")
    return {
        "index-entry-number": number, "entry-number": number, "entry-timestamp": standing.timestamp, "key": key,
        "item": [item], "index": standing.index,
    }  # fmt: skip


def without_links(records: dict[str, Any]) -> dict[str, Any]:
    return {key: {k: v for k, v in record.items() if k != "links"} for key, record in records.items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sort", ["key", "newest"])
async def test_records_at_a_size_are_a_replay(rooms: httpx.AsyncClient, size: int, sort: str) -> None:
    found: dict[str, Any] = {}
    async for page in pages(rooms, f"/room/records?at={size}&sort={sort}&page-size=7&full=1"):
        assert page.headers["mintmark-size"] == str(size)
        assert not found.keys() & page.json().keys()
        found |= page.json()
    wanted = evolving.state(ROWS, size)
    assert without_links(found) == {key: as_record(key, standing) for key, standing in wanted.items()}
    order = sorted(wanted) if sort == "key" else sorted(wanted, key=lambda key: -wanted[key].index)
    assert list(found) == order


@pytest.mark.parametrize("size", SIZES)
async def test_everything_else_is_of_that_size_too(rooms: httpx.AsyncClient, size: int) -> None:
    wanted = evolving.state(ROWS, size)
    users = [entry for entry, _ in ROWS[:size] if entry.type == "user"]
    home = (await get(rooms, f"/room?at={size}&full=1")).json()
    assert (home["total-records"], home["total-entries"], home["size"]) == (len(wanted), len(users), size)
    assert home.get("last-updated") == (users[-1].timestamp if users else None)
    assert len((await get(rooms, f"/room/entries?limit=5000&at={size}")).json()) == len(users)
    assert len((await get(rooms, f"/room/log/entries?limit=5000&at={size}")).json()) == size
    assert len((await get(rooms, f"/room/download-records.jsonl?at={size}")).text.splitlines()) == len(wanted)
    assert len((await get(rooms, f"/room/download-log.jsonl?at={size}")).text.splitlines()) == size
    assert (await rooms.get(f"/room.html?at={size}")).status_code == 200
    for key in evolving.KEYS[::5]:
        path = f"/room/records/{key.replace('/', '%2F')}"
        answer = await rooms.get(f"{path}?at={size}")
        assert answer.status_code == (200 if key in wanted else 404)
        history = await rooms.get(f"{path}/entries?at={size}")
        of_key = [entry for entry in users if entry.key == key]
        assert (len(history.json()) if history.status_code == 200 else 0) == len(of_key)


async def test_the_schema_is_of_that_size_too(rooms: httpx.AsyncClient) -> None:
    late = evolving.ADDED + len(evolving._definitions(["note"], "", ""))
    for size, columns, custodian in [
        (0, [], None),
        (6, ["room", "floor", "tags", "opened"], "A. Keeper"),
        (evolving.ADDED, ["room", "floor", "tags", "opened"], "A. Keeper"),
        (evolving.ADDED + 1, ["room", "floor", "tags", "opened"], "B. Warden"),
        (late, ["room", "floor", "tags", "opened", "note"], "B. Warden"),
        (300, ["room", "floor", "tags", "opened", "note"], "B. Warden"),
    ]:
        home = (await get(rooms, f"/room?at={size}&full=1")).json()
        assert home.get("register-record", {}).get("fields", []) == columns
        assert home.get("custodian") == custodian
        header = next(csv.reader(io.StringIO((await get(rooms, f"/room/records.csv?at={size}")).text)))
        assert header[4:] == columns
        assert (await rooms.get(f"/room/records/note/x?at={size}")).status_code == (200 if "note" in columns else 404)


TIMES = [
    "2019-12-31", "2020-01-01", "2020-01-01T00:00:00Z", "2020-01-02T23:59:59Z", "2020-02-01", "2020-05-02",
    "2020-05-03T11:59:59Z", "2020-05-03T12:00:00Z", "2020-11-01", "2031-01-01T00:00:00Z", "9999-12-31",
]  # fmt: skip


@pytest.mark.parametrize("time", TIMES)
async def test_a_time_is_the_size_that_the_log_had_then(rooms: httpx.AsyncClient, time: str) -> None:
    moment = time if "T" in time else f"{time}T23:59:59Z"
    for path in ("/room/records", "/room", "/room/entries.csv", "/room/diff"):
        answer = await rooms.get(f"{path}?at={time}")
        assert answer.status_code == 200
        assert answer.headers["mintmark-size"] == str(evolving.size_at(ROWS, moment))


@pytest.mark.parametrize(
    ("at", "status"),
    [("301", 404), ("9223372036854775807", 404), ("9223372036854775808", 400), ("99999999999999999999", 400),
     ("-1", 400), ("01", 400), ("1.0", 400), ("", 400), ("2020-02-30", 400), ("2020-13-01", 400),
     ("2020-01-01T00:00:00", 400), ("2020-01-01T24:00:00Z", 400), ("yesterday", 400), ("٣", 400), ("1e2", 400),
     ("0000-01-01", 400)],
)  # fmt: skip
async def test_what_is_no_time_is_refused(rooms: httpx.AsyncClient, at: str, status: int) -> None:
    for path in ("/room", "/room/records/R1", "/room/download-rsf", "/room/diff"):
        answer = await rooms.get(path, params={"at": at})
        assert answer.status_code == status, (path, answer.text)
    for side in ("from", "to"):
        assert (await rooms.get("/room/diff", params={side: at})).status_code == status


PAIRS = [(0, 300), (6, 6), (6, 60), (50, 51), (100, 200), (evolving.ADDED, evolving.ADDED + 7), (299, 300), (0, 0)]


async def test_a_year_is_a_size_and_the_refusal_says_how_to_write_a_time(rooms: httpx.AsyncClient) -> None:
    year, size = [(await rooms.get(f"/room/records?at={at}")).json()["detail"] for at in (2017, 301)]
    assert year == "room has 300 entries, not 2017 yet; for a year write 2017-01-01"
    assert size == "room has 300 entries, not 301 yet"


@pytest.mark.parametrize(("old", "new"), PAIRS)
async def test_differences_are_those_of_two_replays(rooms: httpx.AsyncClient, old: int, new: int) -> None:
    wanted = evolving.changes(ROWS, old, new)
    found = []
    async for page in pages(rooms, f"/room/diff?from={old}&to={new}&limit=6"):
        assert len(page.json()) <= 6
        found += page.json()
    assert [(c["change"], c["key"]) for c in found] == [(kind, key) for kind, key, _, _ in wanted]
    for change, (_, key, before, after) in zip(found, wanted, strict=True):
        for name, standing in (("before", before), ("after", after)):
            shown = without_links({key: change[name]})[key] if name in change else None
            assert shown == (as_record(key, standing) if standing else None)


async def test_differences_in_each_format(rooms: httpx.AsyncClient) -> None:
    path, wanted = "/room/diff.{}?from=60&to=250&limit=1000", evolving.changes(ROWS, 60, 250)
    tree = (await get(rooms, path.format("json"))).json()
    assert read_yaml((await get(rooms, path.format("yaml"))).text) == tree
    assert read_jsonl((await get(rooms, path.format("jsonl"))).text) == tree
    cells = list(csv.reader(io.StringIO((await get(rooms, path.format("csv"))).text)))
    assert cells[0] == ["key", "change", "field", "before", "after"]
    assert list(dict.fromkeys((row[0], row[1]) for row in cells[1:])) == [(key, kind) for kind, key, _, _ in wanted]
    for row in cells[1:]:
        before, after = next((b, a) for _, key, b, a in wanted if key == row[0])
        for cell, standing in ((row[3], before), (row[4], after)):
            value = json.loads(standing.item or b"{}").get(row[2], "") if standing else ""
            assert cell == (value if isinstance(value, str) else ";".join(value))
        assert row[3] != row[4]
    assert [line.split("\t") for line in (await get(rooms, path.format("tsv"))).text.splitlines()] == cells
    graph = read_ttl((await get(rooms, path.format("ttl"))).text)
    kinds = {(str(r), str(graph.value(c, URIRef(f"{META}change")))) for c, r in _changes(graph)}
    assert kinds == {(f"http://registers.test/room/records/{_encoded(key)}", kind) for kind, key, _, _ in wanted}
    for change, record in _changes(graph):
        after = graph.value(change, URIRef(f"{META}after"))
        assert after is None or Literal(json.loads(_after(wanted, str(record)))["floor"]) in set(graph.objects(after))
    text = Page((await get(rooms, path.format("html"))).text).text
    assert all(key in text for _, key, _, _ in wanted)


def _changes(graph: Any) -> list[tuple[Any, Any]]:
    return list(graph.subject_objects(URIRef(f"{META}record")))


def _encoded(key: str) -> str:
    return {"a/b": "a%2Fb", "x.json": "x%2Ejson", "y.proof": "y%2Eproof"}.get(key, key)


def _after(wanted: list[Any], record: str) -> bytes:
    return next(after.item for _, key, _, after in wanted if record.endswith(f"/{_encoded(key)}") and after)


async def test_without_sides_the_last_year_is_compared(rooms: httpx.AsyncClient) -> None:
    last = ROWS[-1][0].timestamp
    shown = (await get(rooms, "/room/diff?limit=1000")).json()
    size = evolving.size_at(ROWS, f"{int(last[:4]) - 1}{last[4:10]}T23:59:59Z")
    assert [(c["change"], c["key"]) for c in shown] == [c[:2] for c in evolving.changes(ROWS, size, len(ROWS))]


async def test_sides_may_be_times_and_not_swapped(rooms: httpx.AsyncClient) -> None:
    by_time = (await get(rooms, "/room/diff?from=2020-02-03&to=2020-07-01&limit=1000")).json()
    old, new = (evolving.size_at(ROWS, f"2020-{day}T23:59:59Z") for day in ("02-03", "07-01"))
    assert [(c["change"], c["key"]) for c in by_time] == [c[:2] for c in evolving.changes(ROWS, old, new)]
    answer = await rooms.get("/room/diff?from=200&to=100")
    assert answer.status_code == 400
    assert "after" in answer.json()["detail"]


async def test_what_is_asked_again_at_a_size_is_the_same(rooms: httpx.AsyncClient) -> None:
    first = await rooms.get("/room/records?at=77")
    await rooms.get("/room/records?at=78")
    again = await rooms.get("/room/records?at=77")
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
