"""HTTP as its specifications have it: negotiation, caching, conditions, compression, methods, CORS, hosts."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.conftest import connect
from tests.support.read_back import TYPES, read_csv, read_ttl, read_yaml

if TYPE_CHECKING:
    import httpx

    from mintmark.api.app import App

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECORD = "/lighthouse/records/FAR"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        (FIREFOX, "html"),
        ("text/csv", "csv"),
        ("TEXT/CSV ; q=0.2", "csv"),
        ("text/*", "yaml"),  # the first of those that fit
        ("text/*;q=0.5,text/turtle", "ttl"),
        ("text/csv;q=0.1, text/turtle;q=0.7, */*;q=0.01", "ttl"),
        ("application/json;q=0,*/*", "yaml"),
        ("text/tab-separated-values,text/csv;q=0.999", "tsv"),
        ("application/x-ndjson", "jsonl"),
        ("application/yaml", "yaml"),
        ("image/png,text/html;level=1", "html"),
        ("application/json;q=wrong", "json"),
    ],
)
async def test_negotiation(lighthouse: httpx.AsyncClient, accept: str, format_: str) -> None:
    answer = await lighthouse.get(RECORD, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES[format_]


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "*/*;q=0", "text/xml", ";;,", "application/json;q=0"])
async def test_what_no_format_fits_is_406(lighthouse: httpx.AsyncClient, accept: str) -> None:
    answer = await lighthouse.get(RECORD, headers={"Accept": accept})
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_suffix_wins(lighthouse: httpx.AsyncClient) -> None:
    answer = await lighthouse.get(f"{RECORD}.csv", headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == TYPES["csv"]


async def test_a_suffix_that_a_resource_lacks_is_406(lighthouse: httpx.AsyncClient) -> None:
    for path in (f"{RECORD}.rsf", "/lighthouse/proof/register/merkle:sha-256.csv", "/lighthouse/download-rsf.json"):
        answer = await lighthouse.get(path)
        assert answer.status_code == 406, path
        assert ".json" in answer.text or ".rsf" in answer.text  # what there is instead


@pytest.mark.parametrize("format_", ["json", "yaml", "csv", "tsv", "ttl", "html"])
async def test_errors_come_in_the_format_that_was_asked(lighthouse: httpx.AsyncClient, format_: str) -> None:
    asked = {"path": f"/lighthouse/records/NOPE.{format_}", "headers": {}}
    negotiated = {"path": "/lighthouse/records/NOPE", "headers": {"Accept": TYPES[format_]}}
    for how in (asked, negotiated):
        answer = await lighthouse.get(how["path"], headers=how["headers"])
        assert answer.status_code == 404
        assert answer.headers["cache-control"] == "no-store"
        detail = "lighthouse has no record 'NOPE' at size 11"
        match format_:
            case "json":
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json() == {"type": "about:blank", "status": 404, "title": "Not found", "detail": detail}
            case "html":
                assert answer.headers["content-type"] == TYPES["html"]
                assert "has no record &#39;NOPE&#39; at size 11" in answer.text
            case "ttl":
                assert detail in {str(term) for term in read_ttl(answer.text).objects()}
            case "yaml":
                assert read_yaml(answer.text)["detail"] == detail
            case _:
                assert answer.text.endswith(detail + ("\r\n" if format_ == "csv" else "\n"))
                assert answer.headers["content-type"] == TYPES[format_]


async def test_answers_vary_and_name_their_head(lighthouse: httpx.AsyncClient) -> None:
    for path in (RECORD, "/lighthouse/records", "/lighthouse/log/checkpoint", "/lighthouse/download-records.csv"):
        answer = await lighthouse.get(path)
        assert answer.headers["vary"] == "Accept, Accept-Encoding"
        assert answer.headers["mintmark-origin"] == "registers.test/lighthouse"
        assert answer.headers["mintmark-size"] == "11"
        assert answer.headers["mintmark-root"].startswith("sha-256:")
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_same_again_is_304(lighthouse: httpx.AsyncClient) -> None:
    for path in (RECORD, "/lighthouse", "/", "/lighthouse/entries.csv", "/lighthouse/diff.html"):
        first = await lighthouse.get(path)
        etag = first.headers["etag"]
        for asked in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = await lighthouse.get(path, headers={"If-None-Match": asked})
            assert (again.status_code, again.content) == (304, b""), (path, asked)
            assert asked == "*" or again.headers["etag"] == etag
            assert again.headers["vary"] == first.headers["vary"]
            assert again.headers["cache-control"] == first.headers["cache-control"]
        for asked in ('"other"', "", etag.strip('"'), f"{etag}x"):
            assert (await lighthouse.get(path, headers={"If-None-Match": asked})).status_code == 200, asked


async def test_formats_and_encodings_have_tags_of_their_own(lighthouse: httpx.AsyncClient) -> None:
    tags = [(await lighthouse.get(f"/lighthouse/records.{format_}")).headers["etag"] for format_ in ("json", "csv")]
    packed = await lighthouse.get("/lighthouse.html", headers={"Accept-Encoding": "gzip"})
    plain = await lighthouse.get("/lighthouse.html", headers={"Accept-Encoding": "identity"})
    tags += [packed.headers["etag"], plain.headers["etag"]]
    assert len(set(tags)) == 4
    for tag in tags[2:]:
        again = await lighthouse.get("/lighthouse.html", headers={"If-None-Match": tag})
        assert (again.status_code, again.headers["etag"]) == (304, tag)


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("/lighthouse/entries?at=11", "public, max-age=31536000, immutable"),
        ("/lighthouse/entries/1.ttl?at=11", "public, max-age=31536000, immutable"),
        ("/lighthouse/log/entries/0?at=11", "public, max-age=31536000, immutable"),
        ("/lighthouse/records/FAR/entries?at=11", "public, max-age=31536000, immutable"),
        ("/lighthouse/proof/register/merkle:sha-256?at=11", "public, max-age=31536000, immutable"),
        ("/lighthouse/records/FAR.proof?at=11", "public, max-age=86400, immutable"),  # it holds an erasable item
        ("/lighthouse/log/tile/0/000.p/11", "public, max-age=31536000, immutable"),
        ("/lighthouse/log/tile/entries/000.p/11", "public, max-age=31536000, immutable"),
        ("/lighthouse/records/FAR?at=11", "no-cache"),  # its links may begin to resolve
        ("/lighthouse/entries/1.html?at=11", "no-cache"),  # the page around it changes
        ("/lighthouse/entries?at=2030-01-01", "no-cache"),  # that time is yet to come
        ("/lighthouse/records/FAR.proof?at=2030-01-01", "no-cache"),
        ("/lighthouse/entries", "no-cache"),
        ("/lighthouse", "no-cache"),
        ("/lighthouse/log/checkpoint", "no-cache"),
        ("/", "no-cache"),
        ("/lighthouse/download-rsf", "private, max-age=60"),
    ],
)
async def test_what_cannot_change_is_immutable(lighthouse: httpx.AsyncClient, path: str, cache: str) -> None:
    answer = await lighthouse.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == cache


async def test_an_erasable_item_is_kept_for_a_day_at_most(lighthouse: httpx.AsyncClient) -> None:
    digest = (await lighthouse.get("/lighthouse/entries/1")).json()[0]["item-hash"][0]
    answer = await lighthouse.get(f"/lighthouse/items/{digest}?at=11")
    assert answer.headers["cache-control"] == "public, max-age=86400, immutable"


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
async def test_compression_is_for_those_who_take_it(lighthouse: httpx.AsyncClient, accepted: str, packed: bool) -> None:
    for path in ("/lighthouse.html", "/lighthouse/download-log.jsonl", "/lighthouse/download-register"):
        async with lighthouse.stream("GET", path, headers={"Accept-Encoding": accepted}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert (answer.headers.get("content-encoding") == "gzip") == packed
        plain = await lighthouse.get(path, headers={"Accept-Encoding": "identity"})
        assert (gzip.decompress(raw) if packed else raw) == plain.content


async def test_small_answers_are_not_compressed(lighthouse: httpx.AsyncClient) -> None:
    answer = await lighthouse.get(f"{RECORD}.csv", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


async def test_head_is_get_without_the_body(lighthouse: httpx.AsyncClient) -> None:
    for path in (RECORD, "/lighthouse.html", "/lighthouse/download-rsf", "/lighthouse/log/checkpoint", "/nothing"):
        got, head = await lighthouse.get(path), await lighthouse.head(path)
        assert head.status_code == got.status_code
        assert head.content == b""
        assert dict(head.headers) == dict(got.headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "FOO"])
async def test_other_methods_are_refused(lighthouse: httpx.AsyncClient, method: str) -> None:
    answer = await lighthouse.request(method, RECORD, content=b"" if method == "TRACE" else b"x" * 10_000)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert answer.json()["title"] == "Method not allowed"


async def test_pages_of_others_may_read(lighthouse: httpx.AsyncClient) -> None:
    for path in (RECORD, "/nothing", "/openapi.json", "/lighthouse/log/checkpoint"):
        answer = await lighthouse.get(path, headers={"Origin": "https://elsewhere.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Mintmark-Root" in answer.headers["access-control-expose-headers"]
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = await lighthouse.options(RECORD, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/", RECORD, "/lighthouse", "/lighthouse/records", "/nothing", "/openapi.json"])
async def test_json_ends_its_line(lighthouse: httpx.AsyncClient, path: str) -> None:
    answer = await lighthouse.get(path)
    assert "json" in answer.headers["content-type"]
    assert answer.content.index(b"\n") == len(answer.content) - 1


async def test_robots_and_static_files(lighthouse: httpx.AsyncClient) -> None:
    assert (await lighthouse.get("/robots.txt")).text == "User-agent: *\nDisallow: /\n"
    page = (await lighthouse.get("/lighthouse.html")).text
    sheet = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = await lighthouse.get(sheet)
    assert answer.headers["content-type"] == "text/css; charset=UTF-8"
    assert "immutable" in answer.headers["cache-control"]
    stale = await lighthouse.get("/-/static/000000000000/style.css")
    assert (stale.status_code, stale.headers["cache-control"]) == (200, "no-cache")
    for path in ("/-/static/x/../../../app.py", "/-/static/x/..%2fapp.py", "/-/static/x/nothing.css", "/-/x", "/-"):
        assert (await lighthouse.get(path)).status_code == 404


async def test_pages_forbid_scripts_of_others(lighthouse: httpx.AsyncClient) -> None:
    for path in ("/", "/lighthouse.html", f"{RECORD}.html", "/nothing.html", "/-/docs"):
        answer = await lighthouse.get(path, headers={"Accept": "text/html"})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


# ---- a register's own host


@pytest.mark.parametrize("host", ["lighthouse.registers.test", "lighthouse.registers.test:8080"])
async def test_a_register_has_a_host_of_its_own(lighthouse: httpx.AsyncClient, host: str) -> None:
    own = connect(lighthouse._transport.app, host)  # type: ignore[attr-defined]
    for path in ("", "/register", "/records/FAR", "/entries", "/log/checkpoint", "/log/entries/3", "/search?q=far"):
        there = await own.get(path or "/", follow_redirects=False)
        here = await lighthouse.get(f"/lighthouse{path}")
        assert there.status_code == here.status_code == 200, path
        assert there.headers["mintmark-root"] == here.headers["mintmark-root"]
    record = (await own.get("/records/FAR?full=1")).json()["FAR"]
    hrefs = {link["field"]: link.get("href") for link in record["links"]}
    assert hrefs["lighthouse"] == f"http://lighthouse.{host.partition('.')[2]}/records/FAR"
    assert (await own.get("/records/FAR")).headers["link"] == '</records/FAR/entries>; rel="version-history"'
    assert (await own.get("/record/FAR")).headers["location"] == "/records/FAR"
    assert (await own.get("/records/")).headers["location"] == "/records"
    assert (await own.get("/v1", headers={"Accept": "text/html"})).headers["location"] == "/"
    page = await own.get("/", headers={"Accept": "text/html"})
    assert "<h1" in page.text
    assert (await own.get(page.text.partition('rel="stylesheet" href="')[2].partition('"')[0])).status_code == 200
    assert (await own.get("/openapi.json")).status_code == 200
    assert (await own.get("/robots.txt")).status_code == 200
    graph = read_ttl((await own.get("/records/FAR.ttl")).text)
    assert f"http://{host}/records/FAR" in {str(subject) for subject in graph.subjects()}


async def test_other_hosts_have_all_registers(lighthouse: httpx.AsyncClient) -> None:
    app: App = lighthouse._transport.app  # type: ignore[attr-defined]
    for host in ("registers.test", "10.0.0.1", "lighthouse.other.test", "lighthouse", "x.registers.test", "[::1]:80"):
        answer = await connect(app, host).get("/")
        assert [register["name"] for register in answer.json()] == ["lighthouse"]


@pytest.mark.parametrize("host", [b'"><script>', b"a\r\nX: y", b"", b"a b", b"\xff", b"lighthouse..registers.test"])
async def test_a_host_that_is_none_gets_into_no_answer(lighthouse: httpx.AsyncClient, host: bytes) -> None:
    app: App = lighthouse._transport.app  # type: ignore[attr-defined]
    for path in ("/lighthouse/records/FAR.ttl", "/lighthouse.html", "/lighthouse/v1"):
        sent: list[Any] = []
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(b"host", host)], "scheme": "http",
        }  # fmt: skip

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app(scope, None, send)  # type: ignore[arg-type]
        assert sent[0]["status"] in (200, 301)
        body = b"".join(message.get("body", b"") for message in sent)
        assert all(word not in body for word in (b"<script>", b"X: y", b"registers.test/records", b"//a b"))


async def test_csv_needs_no_more_quotes_than_it_must(lighthouse: httpx.AsyncClient) -> None:
    text = (await lighthouse.get(f"{RECORD}.csv")).text
    assert '"Far Point, West"' in text
    assert text.count('"') == 2
    assert read_csv(text)
