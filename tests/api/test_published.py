"""Every published register in every format: what a client parses is what the register's file says."""

from __future__ import annotations

import io
import json
import re
import zipfile
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from rdflib import RDF, Graph, Literal, URIRef
from rdflib.namespace import XSD

from mintmark.register import tables
from mintmark.register.schema import Schema
from mintmark.tlog.checkpoint import open_checkpoint
from tests.api.conftest import ELSEWHERE
from tests.support.published_facts import NAMES, Facts, facts, listed
from tests.support.read_back import Page, get, pages, read_csv, read_tsv, read_ttl, read_yaml, records_of  # fmt: skip
from tests.support.read_back import read_jsonl as read_lines
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.published_facts import Said
    from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_register = pytest.mark.parametrize("name", NAMES or [pytest.param("", marks=pytest.mark.skip("no registers"))])

META = "https://openregister.github.io/specification/#"
ROOT = "http://registers.test"
OURS = {"index", "links"}  # members of a record that v1 has not
DATETIMES = {4: XSD.gYear, 7: XSD.gYearMonth, 10: XSD.date, 19: XSD.dateTime, 20: XSD.dateTime}


def many(known: Facts) -> set[str]:
    return {name for name in known.columns if known.definitions[f"field:{name}"]["cardinality"] == "n"}


def v1(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Records without what is not v1's."""
    return {key: {name: value for name, value in record.items() if name not in OURS} for key, record in records.items()}


def expected(known: Facts) -> dict[str, dict[str, object]]:
    return {key: known.record(key) for key in known.latest}


def sample(keys: list[str]) -> list[str]:
    """A few of them, the first and the last included."""
    return sorted({keys[at * (len(keys) - 1) // 4] for at in range(5)})


async def joined(client: httpx.AsyncClient, path: str) -> list[str]:
    return [page.text async for page in pages(client, path)]


@every_register
async def test_records_as_json_and_json_lines(client: httpx.AsyncClient, name: str) -> None:
    found: dict[str, Any] = {}
    for text in await joined(client, f"/{name}/records.json?page-size=400&full=1"):
        found |= json.loads(text)
    assert v1(found) == expected(facts(name))
    assert list(found) == sorted(found)
    lines = [read_lines(text) for text in await joined(client, f"/{name}/records.jsonl?page-size=900")]
    assert [line for page in lines for line in page] == list(found.values())


@every_register
async def test_records_as_yaml(client: httpx.AsyncClient, name: str) -> None:
    answer = await get(client, f"/{name}/records.yaml?page-size=5000&full=1")
    assert v1(read_yaml(answer.text)) == expected(facts(name))
    assert re.search('^ *[a-z-]+: [^"{\\[t0-9]', answer.text, re.MULTILINE) is None  # every string is quoted


@every_register
async def test_records_as_csv(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    found: dict[str, Any] = {}
    for text in await joined(client, f"/{name}/records.csv?page-size=900"):
        cells = read_csv(text)
        assert cells[0] == ["index-entry-number", "entry-number", "entry-timestamp", "key", *known.columns]
        found |= records_of(cells, many(known))
    assert found == expected(known)


@every_register
async def test_records_as_tsv(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    answer = await get(client, f"/{name}/records.tsv?page-size=5000")
    assert records_of(read_tsv(answer.text), many(known)) == expected(known)
    assert "mintmark-replaced" not in answer.headers


def triples(known: Facts, said: Said, subject: str) -> Iterator[tuple[URIRef, URIRef, URIRef | Literal]]:
    """The triples of an entry's item."""
    for field, value in known.items[said.hash].items():
        predicate = URIRef(f"{ROOT}/field/records/{field}")
        for text in listed(value):
            yield URIRef(ROOT + subject), predicate, term(known, field, text)


def term(known: Facts, field: str, text: str) -> URIRef | Literal:
    """A value as RDF has it: a link, or a literal of the field's datatype."""
    definition = known.definitions[f"field:{field}"]
    if (target := known._target(definition, text)) is not None:
        register, key = target
        if register in NAMES:
            return URIRef(f"{ROOT}/{register}/records" + (f"/{quote(key, safe='')}" if key else ""))
        if register in ELSEWHERE:
            return URIRef(ELSEWHERE[register] + quote(key, safe=""))
        return Literal(text)
    match definition["datatype"]:
        case "url":
            return URIRef(re.sub(r'[\x00-\x20<>"{}|^`\\]', lambda found: f"%{ord(found[0]):02X}", text))
        case "datetime":
            return Literal(text, datatype=DATETIMES[len(text)])
    return Literal(text)


def about(known: Facts, said: Said, subject: str) -> Iterator[tuple[URIRef, URIRef, URIRef | Literal]]:
    """The triples of an entry itself."""
    yield URIRef(subject), URIRef(f"{META}entry-number-field"), Literal(said.number)
    yield URIRef(subject), URIRef(f"{META}entry-timestamp-field"), Literal(said.timestamp, datatype=XSD.dateTime)
    yield URIRef(subject), URIRef(f"{META}item-resource"), URIRef(f"{ROOT}/{known.name}/items/{said.hash}")


def same(found: Graph, wanted: set[tuple[Any, Any, Any]]) -> None:
    """Lexically: `1.0` is not `1`."""

    def text(triples: Any) -> set[tuple[str, str, str]]:
        return {(s.n3(), p.n3(), o.n3()) for s, p, o in triples}

    assert text(found) == text(wanted)


@every_register
async def test_records_as_turtle(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    graph = read_ttl((await get(client, f"/{name}/records.ttl?page-size=5000")).text)
    wanted: set[tuple[Any, Any, Any]] = set()
    for key, said in known.latest.items():
        subject = f"/{name}/records/{quote(key, safe='')}"
        wanted |= {*triples(known, said, subject), *about(known, said, ROOT + subject)}
    same(graph, wanted)
    assert (None, RDF.type, None) not in graph


@every_register
async def test_records_as_html(client: httpx.AsyncClient, name: str) -> None:
    """Every record is a row with all its values, and leads to its own page."""
    known = facts(name)
    rows: dict[str, list[str]] = {}
    links: set[str] = set()
    for text in await joined(client, f"/{name}/records.html?page-size=500"):
        page = Page(text)
        rows |= {row[0]: row for row in page.rows[1:]}
        links |= {link.partition("?")[0] for link in page.links}
    assert list(rows) == list(known.latest)
    for key, row in rows.items():
        texts = {text for field, value in known.item(key).items() if field != name for text in listed(value)}
        assert all(any(text in cell for cell in row[1:]) for text in texts), key
        assert f"/{name}/records/{quote(key, safe='')}" in links


@every_register
async def test_a_record_in_each_format(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    for key in sample(list(known.latest)):
        path, wanted = f"/{name}/records/{quote(key, safe='')}", {key: known.record(key)}
        tree = (await get(client, f"{path}.json?full=1")).json()
        assert v1(tree) == wanted
        assert read_yaml((await get(client, f"{path}.yaml?full=1")).text) == tree
        assert read_lines((await get(client, f"{path}.jsonl")).text) == [tree[key]]
        assert records_of(read_csv((await get(client, f"{path}.csv")).text), many(known)) == wanted
        assert list(records_of(read_tsv((await get(client, f"{path}.tsv")).text), many(known))) == [key]
        said = known.latest[key]
        same(
            read_ttl((await get(client, f"{path}.ttl")).text),
            {*triples(known, said, path), *about(known, said, ROOT + path)},
        )
        page = Page((await get(client, f"{path}.html")).text)
        plain = [f for f in known.item(key) if known.definitions[f"field:{f}"]["datatype"] != "text"]
        assert all(text in page.text for field in plain for text in listed(known.item(key)[field]))


@every_register
async def test_entries_in_each_format(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    wanted = [said.v1 for said in known.user]
    trees = [json.loads(text) for text in await joined(client, f"/{name}/entries.json?limit=300&full=1")]
    tree = [entry for page in trees for entry in page]
    assert [{k: v for k, v in entry.items() if k != "index"} for entry in tree] == wanted
    assert [entry["index"] for entry in tree] == [said.index for said in known.user]
    assert read_yaml((await get(client, f"/{name}/entries.yaml?limit=5000&full=1")).text) == tree
    assert read_lines((await get(client, f"/{name}/entries.jsonl?limit=5000")).text) == tree
    cells = [["index-entry-number", "entry-number", "entry-timestamp", "key", "item-hash"]]
    cells += [[str(said.number), str(said.number), said.timestamp, said.key, said.hash] for said in known.user]
    assert read_csv((await get(client, f"/{name}/entries.csv?limit=5000")).text) == cells
    assert read_tsv((await get(client, f"/{name}/entries.tsv?limit=5000")).text) == cells
    page = Page((await get(client, f"/{name}/entries.html?limit=5000")).text)
    assert [row[0] for row in page.rows[1:]] == [f"{said.number:,}" for said in known.user]
    assert [row[2] for row in page.rows[1:]] == [said.key for said in known.user]


@every_register
async def test_entries_as_turtle(client: httpx.AsyncClient, name: str) -> None:
    known, wanted = facts(name), set()
    graph = read_ttl((await get(client, f"/{name}/entries.ttl?limit=5000")).text)
    for said in known.user:
        subject = f"{ROOT}/{name}/entries/{said.number}"
        wanted |= {*about(known, said, subject), (URIRef(subject), URIRef(f"{META}key-field"), Literal(said.key))}
    same(graph, wanted)


@every_register
async def test_the_log_has_system_entries_too(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    found = [json.loads(text) for text in await joined(client, f"/{name}/log/entries?limit=500")]
    entries = [entry for page in found for entry in page]
    assert [(e["index"], e["key"], e["entry-timestamp"], e["item-hash"]) for e in entries] == [
        (said.index, said.key, said.timestamp, [said.hash]) for said in known.entries
    ]
    assert [e["index"] for e in entries if e.get("type") == "system"] == [
        said.index for said in known.entries if said.type == "system"
    ]


@every_register
async def test_items_in_each_format(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    for digest in sample(sorted({said.hash for said in known.user})):
        path, item = f"/{name}/items/{digest}", known.items[digest]
        answer = await get(client, f"{path}.json")
        assert answer.text == known.raw[digest]
        assert "sha-256:" + sha256(answer.content).hexdigest() == digest
        assert read_yaml((await get(client, f"{path}.yaml")).text) == item
        header, row = read_csv((await get(client, f"{path}.csv")).text)
        assert header == known.columns
        assert dict(zip(header, row, strict=True)) == {n: ";".join(listed(item.get(n))) for n in known.columns}
        assert read_tsv((await get(client, f"{path}.tsv")).text) == [header, row]
        said = next(said for said in known.user if said.hash == digest)
        same(read_ttl((await get(client, f"{path}.ttl")).text), set(triples(known, said, path)))
        assert digest in Page((await get(client, f"{path}.html")).text).text


@every_register
async def test_items_are_as_they_were_hashed(client: httpx.AsyncClient, name: str) -> None:
    """System items too: what a definition said is as provable as a record."""
    for digest, text in list(facts(name).raw.items())[:25]:
        assert (await client.get(f"/{name}/items/{digest}")).text == text


@every_register
async def test_the_register_itself(client: httpx.AsyncClient, name: str, golden: dict[str, dict[str, Any]]) -> None:
    known = facts(name)
    tree = (await get(client, f"/{name}/register.json?full=1")).json()
    assert tree["total-records"] == golden[name]["records"] == len(known.latest)
    assert tree["total-entries"] == golden[name]["user_entries"] == len(known.user)
    assert tree["size"] == len(known.entries)
    assert tree["last-updated"] == known.user[-1].timestamp
    assert tree["register-record"] == {k: v for k, v in known.definitions[f"register:{name}"].items() if v}
    assert tree.get("custodian") == known.definitions.get("custodian", {}).get("custodian")
    assert read_yaml((await get(client, f"/{name}/register.yaml?full=1")).text) == tree
    assert [row[0] for row in read_csv((await get(client, f"/{name}/register.csv")).text)[1:]] == known.columns
    assert [row[0] for row in read_tsv((await get(client, f"/{name}/register.tsv")).text)[1:]] == known.columns
    graph = read_ttl((await get(client, f"/{name}/register.ttl")).text)
    assert graph.value(URIRef(f"{ROOT}/{name}/register"), URIRef(f"{META}total-records")) == Literal(len(known.latest))
    assert tree["root"].partition(":")[2] in Page((await get(client, f"/{name}.html")).text).text


@every_register
async def test_rsf_reads_back(client: httpx.AsyncClient, name: str, golden: dict[str, dict[str, Any]]) -> None:
    known = facts(name)
    answer = await get(client, f"/{name}/download-rsf.rsf")
    lines = answer.content.splitlines()
    assert lines[0].endswith(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert lines[-1].decode() == f"assert-root-hash\t{golden[name]['root_hash_v1']}"
    rows = list(read_rsf(answer.content))  # checks both roots
    for type_ in ("user", "system"):
        of_type = [(row.entry.key, row.entry.timestamp, row.item.decode()) for row in rows if row.entry.type == type_]
        assert of_type == [(e.key, e.timestamp, known.raw[e.hash]) for e in known.entries if e.type == type_]


@every_register
async def test_rsf_of_a_range_goes_on_from_a_root(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    half, most = len(known.user) // 2, len(known.user)
    for path, (start, end) in {f"/{half}": (half, most), f"/{half}/{most - 1}": (half, most - 1)}.items():
        lines = (await get(client, f"/{name}/download-rsf{path}.rsf")).text.splitlines()
        appended = [line.split("\t") for line in lines if line.startswith("append-entry")]
        assert appended == [["append-entry", "user", e.key, e.timestamp, e.hash] for e in known.user[start:end]]
        items = [line.partition("\t")[2] for line in lines if line.startswith("add-item")]
        assert items == list(dict.fromkeys(known.raw[e.hash] for e in known.user[start:end]))
        for line, size in ((lines[0], start), (lines[-1], end)):
            proof = await client.get(f"/{name}/proof/register/merkle:sha-256?at={known.user[size - 1].index + 1}")
            assert line == f"assert-root-hash\t{proof.json()['root-hash']}"
    assert len((await get(client, f"/{name}/download-rsf/{most}.rsf")).text.splitlines()) == 1


@every_register
async def test_the_archive_suffices_as_a_backup(
    client: httpx.AsyncClient, name: str, golden: dict[str, dict[str, Any]], published: dict[str, World]
) -> None:
    known = facts(name)
    archive = zipfile.ZipFile(io.BytesIO((await get(client, f"/{name}/download-register.zip")).content))
    assert archive.testzip() is None
    files = {path.removeprefix(f"{name}/"): archive.read(path) for path in archive.namelist()}
    assert json.loads(files["register.json"])["total-entries"] == len(known.user)
    assert json.loads(files["proof.json"])["root-hash"] == golden[name]["root_hash_v1"]
    world = published[name]
    assert open_checkpoint(files["checkpoint"], world.origin, world.verifiers).root == world.edge.root()
    items = {path[5:-5]: data for path, data in files.items() if path.startswith("item/")}
    assert {f"sha-256:{digest}": data.decode() for digest, data in items.items()} == known.raw
    entries = [json.loads(files[f"entry/{said.number}.json"]) for said in known.user]
    assert [{k: v for k, v in entry.items() if k != "index"} for entry in entries] == [e.v1 for e in known.user]
    assert len(files) == 3 + len(items) + len(known.entries)


@every_register
async def test_downloads_have_every_record(client: httpx.AsyncClient, name: str) -> None:
    known = facts(name)
    wanted = expected(known)
    assert v1({r["key"]: r for r in read_lines((await get(client, f"/{name}/download-records.jsonl")).text)}) == wanted
    cells = read_csv((await get(client, f"/{name}/download-records.csv")).text)
    assert records_of(cells, many(known)) == wanted
    tsv = read_tsv((await get(client, f"/{name}/download-records.tsv")).text)
    assert cells == tsv
    schema = Schema.load({said.key: known.raw[said.hash].encode() for said in known.entries if said.type == "system"})
    for read, suffix in ((tables.read_csv, "csv"), (tables.read_tsv, "tsv")):  # as `mintmark import` reads it
        data = (await get(client, f"/{name}/download-records.{suffix}")).content
        assert {row.key: row.item for row in read(data, schema)} == {key: known.item(key) for key in known.latest}
    page = (await get(client, f"/{name}/records.ttl?page-size=5000")).text
    blocks = (await get(client, f"/{name}/download-records.ttl")).text
    assert sorted(page.strip().split("\n\n")) == sorted(blocks.strip().split("\n\n"))


@every_register
async def test_the_log_download_is_the_log(client: httpx.AsyncClient, name: str, published: dict[str, World]) -> None:
    rows = list(tables.read_jsonl((await get(client, f"/{name}/download-log.jsonl")).content))
    known = facts(name)
    assert [(r.type, r.key, r.timestamp, r.item) for r in rows] == [
        (e.type, e.key, e.timestamp, known.items[e.hash]) for e in known.entries
    ]
    assert len(rows) == published[name].size
