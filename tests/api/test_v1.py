"""The v1 API: shapes as its reference prints them, redirects, paging, statuses and media types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.published_facts import SHARED, facts
from tests.support.read_back import TYPES, read_csv, read_tsv

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.asyncio(loop_scope="session")

H1 = "sha-256:cbab62ce43aa52090d224c7fb56b76790b411926914c687cf877a8c49ca39b4b"
H2 = "sha-256:b4fcbc5d6ad94b44d0512c373cb7d7cd6e782760adbe549753d36b923e9a431b"
FAR = {
    "light-colours": ["white", "red"], "lighthouse": "FAR", "name": "Far Point, West", "region": "W",
    "start-date": "1871",
}  # fmt: skip
KIN = {"light-colours": ["white"], "lighthouse": "KIN", "name": "Kinnaird", "region": "N"}
ENTRY_1 = {
    "index-entry-number": "1", "entry-number": "1", "entry-timestamp": "2024-03-01T09:00:00Z", "key": "FAR",
}  # fmt: skip
ENTRY_2 = {
    "index-entry-number": "2", "entry-number": "2", "entry-timestamp": "2024-03-02T10:30:00Z", "key": "KIN",
}  # fmt: skip
SHAPES: dict[str, Any] = {
    "records/FAR": {"FAR": ENTRY_1 | {"item": [FAR]}},
    "records": {"FAR": ENTRY_1 | {"item": [FAR]}, "KIN": ENTRY_2 | {"item": [KIN]}},
    "entries/1": [ENTRY_1 | {"item-hash": [H1]}],
    "entries": [ENTRY_1 | {"item-hash": [H1]}, ENTRY_2 | {"item-hash": [H2]}],
    "records/FAR/entries": [ENTRY_1 | {"item-hash": [H1]}],
    "records/region/N": {"KIN": ENTRY_2 | {"item": [KIN]}},
    f"items/{H1}": FAR,
    "register": {
        "domain": "registers.test", "total-records": 2, "total-entries": 2, "custodian": "A. Keeper",
        "last-updated": "2024-03-02T10:30:00Z",
        "register-record": {
            "fields": ["lighthouse", "name", "region", "light-colours", "start-date"], "phase": "beta",
            "register": "lighthouse", "registry": "harbour-office", "text": "Lighthouses",
        },
    },
    "proof/register/merkle:sha-256": {
        "proof-identifier": "merkle:sha-256", "total-entries": 2,
        "root-hash": "sha-256:a6ac04d43ce482c1ed65dd99048f822d76de3bbe3107c65e86b22db7d6c5d8d3",
    },
}  # fmt: skip
FULL = "application/vnd.mintmark+json"
OURS = {"index", "links", "size", "root", "name", "origin", "register-name", "fields", "freshness"}
HEADER = ["index-entry-number", "entry-number", "entry-timestamp", "key"]
CELLS = {
    "records": [
        [*HEADER, "lighthouse", "name", "region", "light-colours", "start-date"],
        ["1", "1", "2024-03-01T09:00:00Z", "FAR", "FAR", "Far Point, West", "W", "white;red", "1871"],
        ["2", "2", "2024-03-02T10:30:00Z", "KIN", "KIN", "Kinnaird", "N", "white", ""],
    ],
    "entries": [
        [*HEADER, "item-hash"],
        ["1", "1", "2024-03-01T09:00:00Z", "FAR", H1],
        ["2", "2", "2024-03-02T10:30:00Z", "KIN", H2],
    ],
    f"items/{H1}": [
        ["lighthouse", "name", "region", "light-colours", "start-date"],
        ["FAR", "Far Point, West", "W", "white;red", "1871"],
    ],
}


def v1(tree: Any) -> Any:
    """Without the members that v1 has not, which are at the top or one below it; items and definitions are whole."""
    if isinstance(tree, list):
        return [v1(part) for part in tree]
    if not isinstance(tree, dict) or "lighthouse" in tree or "registry" in tree:
        return tree
    return {name: v1(value) for name, value in tree.items() if name not in OURS}


@pytest.mark.parametrize("path", SHAPES)
async def test_shapes(lighthouse: httpx.AsyncClient, path: str) -> None:
    """Exactly the members that v1 published: its clients may take no others."""
    for suffix, headers in (("", {}), (".json", {}), ("", {"Accept": "application/json"}), (".json", {"Accept": FULL})):
        answer = await lighthouse.get(f"/lighthouse/{path}{suffix}", headers=headers)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == SHAPES[path]
    answer = await lighthouse.get(f"/lighthouse/{path}.yaml")
    assert answer.text.startswith("---\n")
    assert yaml.safe_load(answer.text) == SHAPES[path]


@pytest.mark.parametrize("path", SHAPES)
async def test_what_v1_has_not_is_asked_for(lighthouse: httpx.AsyncClient, path: str) -> None:
    asked = await lighthouse.get(f"/lighthouse/{path}.json?full=1")
    assert asked.headers["content-type"] == FULL
    accepted = await lighthouse.get(f"/lighthouse/{path}", headers={"Accept": f"{FULL}, application/json;q=0.9"})
    assert accepted.headers["content-type"] == FULL
    assert "Accept" in accepted.headers["vary"]
    assert (
        accepted.json()
        == asked.json()
        == yaml.safe_load((await lighthouse.get(f"/lighthouse/{path}.yaml?full=1")).text)
    )
    assert v1(asked.json()) == SHAPES[path]
    plain = await lighthouse.get(f"/lighthouse/{path}")
    if not path.startswith("items"):
        assert asked.json() != plain.json()
    assert plain.headers["etag"] != accepted.headers["etag"] == asked.headers["etag"]
    matched = {"Accept": FULL, "If-None-Match": plain.headers["etag"]}
    assert (await lighthouse.get(f"/lighthouse/{path}", headers=matched)).status_code == 200
    assert (await lighthouse.get(f"/lighthouse/{path}.json?full=2")).status_code == 400


async def test_pages_keep_to_the_shape_that_was_asked_for(lighthouse: httpx.AsyncClient) -> None:
    for path in ("records.json?page-size=1", "entries.json?limit=1"):
        answer = await lighthouse.get(f"/lighthouse/{path}&full=1")
        second = (await lighthouse.get(str(answer.url.join(answer.links["next"]["url"])))).json()
        entry = second[0] if isinstance(second, list) else second["KIN"]
        assert "index" in entry


async def test_full_is_no_suffix(lighthouse: httpx.AsyncClient) -> None:
    answer = await lighthouse.get("/lighthouse/records/FAR.full")
    assert answer.status_code == 404
    refused = await lighthouse.get("/lighthouse/records/FAR.zip")
    assert (refused.status_code, ".full" in refused.text) == (406, False)


@pytest.mark.parametrize("path", CELLS)
async def test_tables(lighthouse: httpx.AsyncClient, path: str) -> None:
    assert read_csv((await lighthouse.get(f"/lighthouse/{path}.csv")).text) == CELLS[path]
    assert read_tsv((await lighthouse.get(f"/lighthouse/{path}.tsv")).text) == CELLS[path]


async def test_yaml_is_printed_as_v1_did(lighthouse: httpx.AsyncClient) -> None:
    assert (await lighthouse.get(f"/lighthouse/items/{H2}.yaml")).text == (
        '---\nname: "Kinnaird"\nregion: "N"\nlighthouse: "KIN"\nlight-colours:\n- "white"\n'
    )


@pytest.mark.parametrize(
    ("path", "status", "to"),
    [
        ("/record/FAR", 301, "/records/FAR"),
        ("/record/FAR/entries?x=1", 301, "/records/FAR/entries?x=1"),
        ("/record/FAR.csv", 301, "/records/FAR.csv"),
        ("/entry/1.json?at=10", 301, "/entries/1.json?at=10"),
        (f"/item/{H1}", 301, f"/items/{H1.replace(':', '%3A')}"),
        ("/proof/entry/1/2/merkle:sha-256", 301, "/proof/entries/1/2/merkle%3Asha-256"),
        ("/records/", 301, "/records"),
        ("/records/FAR///?a=b", 301, "/records/FAR?a=b"),
        ("/", 301, ""),
        ("/v1", 301, "/register"),
        ("/v1.html", 301, ".html"),
        ("/v1/records/FAR?at=11", 307, "/records/FAR?at=11"),
        ("/v1/records.csv", 307, "/records.csv"),
        ("/lighthouse/FAR", 301, "/records/FAR"),
        ("/lighthouse/a%2Fb", 301, "/records/a%2Fb"),
        ("/region/W", 301, "/records/region/W"),
    ],
)
async def test_redirects(lighthouse: httpx.AsyncClient, path: str, status: int, to: str) -> None:
    answer = await lighthouse.get(f"/lighthouse{path}")
    assert (answer.status_code, answer.headers["location"]) == (status, f"/lighthouse{to}")


async def test_browsers_are_sent_from_v1_to_the_home(lighthouse: httpx.AsyncClient) -> None:
    answer = await lighthouse.get("/lighthouse/v1", headers={"Accept": "text/html,*/*;q=0.1"})
    assert (answer.status_code, answer.headers["location"]) == (301, "/lighthouse")


@pytest.mark.parametrize("path", ["/wings/3", "/lighthouse/nothing/here", "/v2", "/record", "/log", "/proof/x"])
async def test_what_was_never_there_is_not_found(lighthouse: httpx.AsyncClient, path: str) -> None:
    assert (await lighthouse.get(f"/lighthouse{path}")).status_code == 404


@pytest.mark.parametrize("host", ["evil.example/", "evil.example//", "%5Cevil.example/", "lighthouse/v1//evil.example"])
@pytest.mark.parametrize("slashes", ["/", "//", "///", "/\\"])
async def test_no_redirect_leads_to_another_host(lighthouse: httpx.AsyncClient, host: str, slashes: str) -> None:
    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": f"{slashes}{host}".encode(), "query_string": b"",
        "headers": [], "scheme": "http",
    }  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await lighthouse._transport.app(scope, None, send)  # type: ignore[attr-defined]  # httpx would tidy the path
    location = dict(sent[0]["headers"]).get(b"location", b"/")
    assert location.startswith(b"/")
    assert location[1:2] not in (b"/", b"\\")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/records?page-size=0", 400),
        ("/records?page-size=5001", 400),
        ("/records?page-size=5000", 200),
        ("/records?page-index=0", 400),
        ("/records?page-index=-1", 400),
        ("/records?page-index=x", 400),
        ("/records?page-index=1.5", 400),
        ("/records?page-index=2", 404),
        ("/records?page-index=", 400),
        ("/records/NOPE", 404),
        ("/records/NOPE/entries", 404),
        ("/records/wings/3", 404),
        ("/records/name/nobody", 200),
        ("/entries?start=3", 200),
        ("/entries?start=9223372036854775807", 200),
        ("/entries?start=9223372036854775808", 400),
        ("/entries?start=0", 400),
        ("/entries?start=-1", 400),
        ("/entries?limit=0", 400),
        ("/entries?limit=5001", 400),
        ("/entries/3", 404),
        ("/entries/0", 404),
        ("/entries/01", 404),
        ("/entries/x", 404),
        ("/items/sha-256:00", 400),
        (f"/items/{'sha-256:' + '0' * 64}", 404),
        ("/proof/entries/1/3/merkle:sha-256", 400),
        ("/proof/entries/0/2/merkle:sha-256", 400),
        ("/proof/entries/2/1/merkle:sha-256", 400),
        ("/proof/entries/x/2/merkle:sha-256", 400),
        ("/proof/consistency/2/3/merkle:sha-256", 400),
        ("/proof/consistency/0/2/merkle:sha-256", 400),
        ("/proof/consistency/2/2/merkle:sha-256", 200),
        ("/proof/register/merkle:sha-512", 404),
        ("/download-rsf/3", 400),
        ("/download-rsf/-1", 400),
        ("/download-rsf/2/1", 400),
        ("/download-rsf/0/3", 400),
        ("/download-rsf/2", 200),
        ("/download-rsf/x", 400),
    ],
)
async def test_statuses(lighthouse: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await lighthouse.get(f"/lighthouse{path}")
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


async def test_unknown_registers_are_not_found(lighthouse: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/nothing/", "/nothing/records", "/nothing/log/checkpoint"):
        assert (await lighthouse.get(path, follow_redirects=True)).status_code == 404


async def test_past_the_last_entry_is_an_empty_list(lighthouse: httpx.AsyncClient) -> None:
    answer = await lighthouse.get("/lighthouse/entries?start=3")
    assert answer.json() == []
    assert "link" not in answer.headers or "next" not in answer.links


async def test_a_record_links_to_its_versions_where_it_is_there(lighthouse: httpx.AsyncClient) -> None:
    answer = await lighthouse.get("/lighthouse/records/FAR")
    assert answer.headers["link"] == '</lighthouse/records/FAR/entries>; rel="version-history"'
    assert "link" not in (await lighthouse.get("/lighthouse/records/NOPE")).headers


async def test_entries_are_paged_by_links(client: httpx.AsyncClient, published: object) -> None:
    answer = await client.get("/country/entries?start=51&limit=70")
    size = answer.headers["mintmark-size"]
    assert answer.headers["link"] == (
        f'<?start=121&limit=70&at={size}>; rel="next",<?start=1&limit=70&at={size}>; rel="previous"'
    )
    first = await client.get("/country/entries?limit=70")
    assert "previous" not in first.links
    last = await client.get("/country/entries?start=200&limit=70")
    assert "next" not in last.links
    assert "start=130" in last.links["previous"]["url"]


async def test_records_are_paged_by_links_there_and_back(client: httpx.AsyncClient, published: object) -> None:
    seen, path = [], "/country/records?page-size=30"
    while True:
        answer = await client.get(path)
        seen.append(list(answer.json()))
        if "next" not in answer.links:
            break
        path = f"/country/records{answer.links['next']['url']}"
        assert f"page-index={len(seen) + 1}&page-size=30" in path
    assert [key for page in seen for key in page] == list(facts("country").latest)
    for page in reversed(seen[:-1]):
        answer = await client.get(f"/country/records{answer.links['previous']['url']}")
        assert list(answer.json()) == page
    assert "previous" not in answer.links


async def test_pages_are_where_their_numbers_say(client: httpx.AsyncClient, published: object) -> None:
    keys = list(facts("country").latest)
    assert list((await client.get("/country/records?page-index=3&page-size=40")).json()) == keys[80:120]
    newest = sorted(keys, key=lambda key: -facts("country").latest[key].number)
    assert list((await client.get("/country/records?page-size=50&sort=newest")).json()) == newest[:50]
    assert list((await client.get("/country/records?page-size=50&page-index=2&sort=newest")).json()) == newest[50:100]


async def test_a_page_of_a_walk_stays_what_it_was(client: httpx.AsyncClient, published: object) -> None:
    """A link carries the size, so that a walk sees one register whatever is appended meanwhile."""
    answer = await client.get("/country/records?at=100&page-size=10")
    assert answer.links["next"]["url"].endswith("at=100")
    assert answer.headers["mintmark-size"] == "100"


async def test_collections_have_names_as_files(lighthouse: httpx.AsyncClient) -> None:
    for path, name in {
        "records.csv": "lighthouse-records.csv", "entries.ttl": "lighthouse-entries.ttl",
        "records/region/W.tsv": "lighthouse-records.tsv", "records/FAR/entries.json": "lighthouse-entries.json",
    }.items():  # fmt: skip
        answer = await lighthouse.get(f"/lighthouse/{path}")
        assert answer.headers["content-disposition"] == f'inline; filename="{name}"'
    zip_ = await lighthouse.get("/lighthouse/download-register")
    assert zip_.headers["content-type"] == TYPES["zip"]
    assert zip_.headers["content-disposition"].startswith("attachment; filename=")
    assert zip_.headers["content-transfer-encoding"] == "binary"
    assert zip_.headers["cache-control"] == "private, max-age=60"


async def test_the_published_proofs(client: httpx.AsyncClient, published: object) -> None:
    """The v1 vectors, of an older country, which is a prefix of ours."""
    vectors = json.loads((SHARED / "golden-vectors.json").read_text())
    hashes = {name: [f"sha-256:{h}" for h in known] for name, known in vectors.items() if isinstance(known, list)}
    entry = (await client.get("/country/proof/entries/10/200/merkle:sha-256")).json()
    assert entry == {
        "proof-identifier": "merkle:sha-256", "entry-number": "10",
        "merkle-audit-path": hashes["country_entry_proof_10_of_200"],
    }  # fmt: skip
    consistency = (await client.get("/country/proof/consistency/197/200/merkle:sha-256")).json()
    assert consistency == {
        "proof-identifier": "merkle:sha-256", "merkle-consistency-nodes": hashes["country_consistency_197_200"]
    }  # fmt: skip
    at = facts("country").user[207].index + 1
    root = (await client.get(f"/country/proof/register/merkle:sha-256?at={at}")).json()
    assert root["root-hash"] == f"sha-256:{vectors['country_root_at_208']}"
    assert root["total-entries"] == 208
