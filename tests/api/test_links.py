"""Links between the published registers: each that the data has is there, and leads where it says.

The data is read by `facts`, which knows nothing of the project; where a link leads is what the API says.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from rdflib import Literal, URIRef
from rdflib.namespace import XSD

from mintmark.register import canonical
from mintmark.store.registers.register_store import ReadLimits
from tests.api.conftest import ELSEWHERE, connect, limit, mirror, opened, world
from tests.support.lighthouse import ROWS, define_field, define_register, system, user
from tests.support.published_facts import NAMES, Link, facts
from tests.support.read_back import Page, get, pages, read_ttl

if TYPE_CHECKING:
    import httpx

    from tests.support.world import World

session = pytest.mark.asyncio(loop_scope="session")


async def shown_links(client: httpx.AsyncClient, name: str) -> dict[Link, dict[str, Any]]:
    """Every link that the API shows in a register's records, with what it says of it."""
    found = {}
    async for page in pages(client, f"/{name}/records.json?page-size=2000&full=1"):
        for key, record in page.json().items():
            for link in record.get("links", ()):
                found[key, link["field"], link["value"]] = link
    return found


@session
async def test_every_link_of_the_data_is_shown_and_resolves(client: httpx.AsyncClient, published: object) -> None:
    counts: Counter[str] = Counter()
    hrefs = set()
    for name in NAMES:
        shown = await shown_links(client, name)
        for link in facts(name).links():
            said = shown[link.record, link.field, link.value]
            if link.register in NAMES:
                counts["resolves"] += 1
                assert "dangling" not in said, said
                hrefs.add((said["href"], link.key))
            elif link.register in ELSEWHERE:
                counts["elsewhere"] += 1
                assert said["href"] == ELSEWHERE[link.register] + quote(link.key, safe="")
            else:
                counts["nowhere"] += 1
                assert said == {"field": link.field, "value": link.value, "dangling": True}
    assert counts["resolves"] == 5_812
    assert counts["elsewhere"] + counts["nowhere"] == 49
    for href, key in hrefs:
        answer = await client.get(href)
        assert answer.status_code == 200, href
        assert list(answer.json()) == [key] or key == ""


@session
async def test_web_links_are_shown(client: httpx.AsyncClient, published: object) -> None:
    name = "government-organisation"
    urls = {facts(name).item(key).get("website") for key in facts(name).latest} - {None}
    shown = await shown_links(client, name)
    assert urls
    assert {said["href"] for (_, field, _), said in shown.items() if field == "website"} == urls


@session
@pytest.mark.parametrize("large", [ReadLimits().large_register, 10])
async def test_what_refers_to_a_record_is_what_links_to_it(
    client: httpx.AsyncClient, published: object, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(client._transport.app, monkeypatch, large_register=large)
    for register, key in [("government-organisation", "D2"), ("country", "GB"), ("register", "country")]:
        wanted = {
            (name, link.field, link.record)
            for name in NAMES
            for link in facts(name).links()
            if (link.register, link.key) == (register, key) and (name, link.field) != (register, register)
        }
        path = f"/{register}/records/{key}/referrers"
        shown = (await get(client, f"{path}.json")).json()
        assert {(r["register"], r["field"], r["key"]) for r in shown} == wanted
        for referrer in shown:
            assert (await client.get(referrer["href"])).status_code == 200
        graph = read_ttl((await get(client, f"{path}.ttl")).text)
        target = URIRef(f"http://registers.test/{register}/records/{key}")
        assert {str(s) for s in graph.subjects(None, target)} == {f"http://registers.test{r['href']}" for r in shown}


def shrines() -> World:
    """A register whose links lead everywhere: to keys that trouble paths, to nothing, to the web, out of use."""
    fields = ["shrine", "lighthouse", "many", "site"]
    items = {
        "a/b": {"lighthouse": "FAR", "many": ["shrine:a/b", "shrine:a.json", "lighthouse:", " lighthouse: KIN"]},
        "a.json": {"lighthouse": "LOST", "many": ["shrine:gone", "company:a/b", "nothing:1"]},
        "gone": {"site": "https://example.org/ü?<a b>"},
        "x": {"site": "javascript:alert(1)"},
    }
    rows = [
        system(*define_field("shrine", register="shrine")),
        system(*define_field("lighthouse", register="lighthouse")),
        system(*define_field("many", "curie", "n")),
        system(*define_field("site", "url")),
        system(*define_register("shrine", fields)),
        *(user(key, canonical.format({"shrine": key, **item})) for key, item in items.items()),
        user("gone", None),
    ]
    return world("shrine", rows)


async def test_links_that_lead_nowhere_are_shown_as_such_in_every_format(read_db: str) -> None:
    await mirror(read_db, world("lighthouse", ROWS), shrines())
    async with opened(read_db, ELSEWHERE) as app, connect(app) as client:
        records = (await get(client, "/shrine/records.json?full=1")).json()
        links = {(key, link["value"]): link for key, record in records.items() for link in record.get("links", ())}
        assert {place for place, link in links.items() if link.get("dangling")} == {
            ("a.json", "LOST"), ("a.json", "shrine:gone"), ("a.json", "nothing:1")
        }  # fmt: skip
        assert ("x", "javascript:alert(1)") not in links
        for place, link in links.items():
            if "href" in link and link["href"].startswith("/"):
                status = (await client.get(link["href"])).status_code
                assert status == (404 if link.get("dangling") else 200), place
        assert links["a/b", "shrine:a.json"]["href"] == "/shrine/records/a%2Ejson"
        assert links["a.json", "company:a/b"]["href"] == "https://company.elsewhere.example/records/a%2Fb"
        graph = read_ttl((await get(client, "/shrine/records.ttl")).text)
        dangling = URIRef("https://openregister.github.io/specification/#dangling")
        assert {str(s) for s in graph.subjects(dangling, Literal("true", datatype=XSD.boolean))} == {
            "http://registers.test/lighthouse/records/LOST", "http://registers.test/shrine/records/gone"
        }  # fmt: skip
        page = Page((await get(client, "/shrine/records/a%2Ejson.html")).text)
        assert page.text.count("no such record here") == 2
        assert "a register that is not known here" in page.text
        then = (await get(client, "/shrine/records/gone.ttl?at=8")).text
        assert URIRef("https://example.org/ü?%3Ca%20b%3E") in set(read_ttl(then).objects())
