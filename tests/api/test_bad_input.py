"""Hostile paths, parameters and values: answered with a reason, and text stays text in every format."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintmark.register import canonical, tables
from mintmark.register.schema import Schema
from tests.api.conftest import connect, mirror, opened, world
from tests.support.lighthouse import define_field, define_register, system, user
from tests.support.read_back import Page, get, read_jsonl, read_list, read_ttl, read_yaml
from tests.support.site import KEYS, SCRIPTS, hostile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from mintmark.register.entry import Entry
    from tests.support.postgres import TestPostgres

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = [
    "\u202eright to left\u202c", "مرحبا", "🌿👩‍👩‍👧", "e\u0301 and é", "\ufeff", "\u2028line\u2029paragraph",
    "\x7f\x80\x9f", "\x01\x1f", "tab\tline\nreturn\r", '"quotes" \\back\\ \'single\'', "=1+1", "-- ",
    "'; drop table entry",
    "<b>&amp;</b>", "%00%2f", "../../etc/passwd", "\U0010ffff\ufffe\uffff", "{{7*7}}${7*7}", "NO", "01", "1e3", "null",
    "~", "- a: b", "# x", "[a]", "{a: b}", "!!python/object:os.system", "<http://x>", "^^xsd:integer",
    " lead and trail ",
]  # fmt: skip
FIELDS = [
    define_field("odd"),
    define_field("value"),
    define_field("values", cardinality="n"),
    define_register("odd", ["odd", "value", "values"]),
]
ODD = Schema.load(dict(FIELDS))


class Tags(HTMLParser):
    """The tags of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def enemy(postgres: TestPostgres) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API over registers whose every value attacks."""
    rows: list[tuple[Entry, bytes | None]] = [system(*definition) for definition in FIELDS]
    for at, text in enumerate(TEXTS):
        item = {"odd": str(at), "value": text, "values": [text, "x"]}
        rows.append(user(str(at), canonical.format(item)))
    name = postgres.create("read")
    entries, items = hostile()
    logs = world("odd", rows), world("hostile", zip(entries, [item or None for item in items], strict=True))
    await mirror(postgres.server.conninfo(name), *logs)
    async with opened(postgres.server.conninfo(name), {}) as app, connect(app) as client:
        yield client
    postgres.drop(name)


async def test_every_text_comes_back_from_every_format(enemy: httpx.AsyncClient) -> None:
    wanted = {str(at): {"odd": str(at), "value": t, "values": [t, "x"]} for at, t in enumerate(TEXTS)}
    tree = (await get(enemy, "/odd/records.json")).json()
    assert {key: record["item"][0] for key, record in tree.items()} == wanted
    assert read_yaml((await get(enemy, "/odd/records.yaml")).text) == tree
    lines = read_jsonl((await get(enemy, "/odd/records.jsonl")).text)
    assert len(lines) == len(tree)
    cells = list(csv.reader(io.StringIO((await get(enemy, "/odd/records.csv")).content.decode(), newline="")))
    assert {row[3]: row[5] for row in cells[1:]} == {key: item["value"] for key, item in wanted.items()}
    assert {row[3]: read_list(row[6]) for row in cells[1:]} == {key: item["values"] for key, item in wanted.items()}
    text = (await get(enemy, "/odd/records.tsv")).content.decode()
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)) == cells
    for path in ("records", "download-records"):
        for read, suffix in ((tables.read_csv, "csv"), (tables.read_tsv, "tsv")):
            data = (await get(enemy, f"/odd/{path}.{suffix}")).content
            assert {row.key: row.item for row in read(data, ODD)} == wanted
    graph = read_ttl((await get(enemy, "/odd/records.ttl")).content.decode())
    literals = {str(term) for term in graph.objects()}
    assert all(item["value"] in literals for item in wanted.values())


@pytest.mark.parametrize(
    "path",
    ["", "/records", "/entries", "/diff?from=0", "/search?q=pwned", *(f"/records/{quote(k, safe='')}" for k in KEYS)],
)
async def test_scripts_in_pages_are_text(enemy: httpx.AsyncClient, path: str) -> None:
    path, _, query = path.partition("?")
    path = re.sub(r"\.(json|proof)$", r"%2E\1", path)
    page = await get(enemy, f"/hostile{path}.html?{query}")
    tags = Tags(page.text).tags
    assert not [
        attrs for tag, attrs in tags if tag in ("img", "iframe") or any(name.startswith("on") for name in attrs)
    ]
    assert {attrs.get("type") for tag, attrs in tags if tag == "script"} <= {"module"}
    assert not [link for link in Page(page.text).links if link.lower().startswith(("javascript:", "data:"))]
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_scripts_in_other_formats_are_no_pages(enemy: httpx.AsyncClient) -> None:
    for format_ in ("json", "yaml", "csv", "tsv", "ttl", "jsonl"):
        answer = await get(enemy, f"/hostile/records/plain.{format_}")
        assert "html" not in answer.headers["content-type"]
        assert SCRIPTS[0][:8] in answer.text  # as it is: nothing but a page escapes markup


@pytest.mark.parametrize("key", KEYS)
async def test_keys_that_look_like_paths_are_found(enemy: httpx.AsyncClient, key: str) -> None:
    encoded = quote(key, safe="").replace(".", "%2E")
    for suffix in ("", ".json", ".csv", ".html", ".proof", "/entries", "/entries.csv", "/referrers"):
        status = (await enemy.get(f"/hostile/records/{encoded}{suffix}")).status_code
        assert status == 200, suffix
    assert list((await enemy.get(f"/hostile/records/{encoded}.json")).json()) == [key]
    lower = encoded.replace("%2F", "%2f").replace("%2E", "%2e")
    assert (await enemy.get(f"/hostile/records/{lower}.json")).status_code == 200


@pytest.mark.parametrize(
    "text", [*TEXTS, *SCRIPTS, "x" * 255, "x" * 256, "ü" * 200, "x" * 8000, ".", "..", "", "%", "%zz"]
)
async def test_what_is_not_there_is_said_in_each_format(enemy: httpx.AsyncClient, text: str) -> None:
    encoded = quote(text, safe="").replace(".", "%2E")
    for path in (
        f"/odd/records/{encoded}",
        f"/odd/records/{encoded}/x",
        f"/odd/entries/{encoded}",
        f"/{encoded}/records",
    ):
        for format_ in ("json", "yaml", "csv", "tsv", "ttl", "html"):
            answer = await enemy.get(f"{path}.{format_}")
            assert answer.status_code in (200, 301, 400, 404), (path, answer.status_code)
            if answer.status_code >= 400:
                _read_problem(format_, answer.content.decode(), answer.status_code)


def _read_problem(format_: str, text: str, status: int) -> None:
    """Checks that an error is well formed in its format, on one line."""
    match format_:
        case "json":
            assert f'"status":{status}' in text
        case "yaml":
            assert read_yaml(text)["status"] == status
        case "csv":
            assert [len(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)] == [3, 3]
        case "tsv":
            assert [len(line.split("\t")) for line in text.split("\n")[:-1]] == [3, 3]
        case "ttl":
            assert len(read_ttl(text)) == 3
        case _:
            assert "<script>window" not in text


@pytest.mark.parametrize(
    "path",
    ["/%ff", "/odd/records/%c3%28", "/odd/records/%00", "/odd/records/a%00b", "/%00", "/odd/%ed%a0%80/x"],
)
async def test_paths_that_are_no_text_are_refused(enemy: httpx.AsyncClient, path: str) -> None:
    answer = await enemy.get(path)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [b"q=%ff", b"q=%00", b"%00=1", b"at=1&at=2", b"q=\xff", b"q=%ed%a0%80", b"&".join(b"p%d=1" % n for n in range(51))],
)
async def test_queries_that_are_no_text_are_refused(enemy: httpx.AsyncClient, query: bytes) -> None:
    sent: list[Any] = []
    scope = {
        "type": "http", "method": "GET", "path": "/odd/search", "raw_path": b"/odd/search", "query_string": query,
        "headers": [], "scheme": "http",
    }  # fmt: skip

    async def send(message: Any) -> None:
        sent.append(message)

    await enemy._transport.app(scope, None, send)  # type: ignore[attr-defined]
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("name", ["page-index", "page-size", "start", "limit", "at", "from", "to", "after", "past"])
@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "0",
        "1e9",
        "9" * 18,
        "9" * 19,
        "9" * 400,
        "0x10",
        "1,000",
        "１",
        "NaN",
        " 1",
        "1 ",
        "+1",
        "\u202e1",
        "1;1",
        "[]",
    ],
)
async def test_absurd_numbers_have_an_answer(enemy: httpx.AsyncClient, name: str, text: str) -> None:
    for path in ("/odd/records", "/odd/records/value/x", "/odd/entries", "/odd/log/entries", "/odd/diff", "/odd/search",
                 "/odd/records/1/entries"):  # fmt: skip
        for sort in ("key", "newest"):
            answer = await enemy.get(path, params={name: text, "sort": sort, "q": "x"})
            assert answer.status_code in (200, 400, 404)
            assert answer.status_code < 400 or answer.json()["detail"]


SEGMENTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["odd", "hostile", "records", "entries", "items", "proof", "log", "v1", "record", "diff", "search",
                     "download-rsf", "merkle:sha-256", "1", "0", "x.json", "..", ".", "", "tile", "000", "-"]),
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    segments=st.lists(SEGMENTS, max_size=6),
    params=st.dictionaries(st.sampled_from(["at", "q", "after", "past", "from", "name", "value"]), st.text(max_size=9)),
    suffix=st.sampled_from(["", ".json", ".html", ".csv", ".ttl", ".proof", ".zip", ".exe"]),
)
async def test_any_path_has_an_answer(
    enemy: httpx.AsyncClient, segments: list[str], params: dict[str, str], suffix: str
) -> None:
    path = "/" + "/".join(quote(segment.encode("utf-8", "replace"), safe="") for segment in segments) + suffix
    query = {name: text.encode("utf-8", "replace").decode() for name, text in params.items()}
    answer = await enemy.get(path, params=query)
    assert answer.status_code in (200, 301, 307, 400, 404, 406), path
    if answer.status_code >= 400:
        assert not any(word in answer.content for word in (b"Traceback", b"psycopg", b"select ", b"line "))
