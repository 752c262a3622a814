"""Erased items are gone from every answer, and shown as such; salts show in the raw item alone."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.register import canonical
from mintmark.register.entry import format_entry
from mintmark.register.item import format_hash, item_hash
from mintmark.tlog.kernel import leaf_hash
from mintmark.tlog.proof_file import ProofParts, check_proof_file, parse_parts, parse_proof
from tests.api.conftest import connect, mirror, opened, world
from tests.support.lighthouse import define_field, define_register, system, user
from tests.support.read_back import Page, read_csv, read_jsonl, read_ttl, read_yaml

if TYPE_CHECKING:
    import httpx

SECRET = "Born on 3 May 1970"
FIELDS = [define_field("person"), define_field("note"), define_register("person", ["person", "note"])]
FORMATS = ("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl")


def item(key: str, note: str, **more: str) -> bytes:
    return canonical.format({"person": key, "note": note, **more})


def erasing() -> Any:
    """`a` was changed after an item that is erased; `b` stands with one; `c` says the same as `b`, and stays."""
    rows = [
        *(system(*definition) for definition in FIELDS),
        user("a", item("a", SECRET)),
        user("a", item("a", "harmless")),
        user("b", item("b", SECRET)),
        user("b", item("b", SECRET)),
        user("c", item("c", "harmless")),
        system("erase:3", b'{"authority":"court","reason":"law"}'),
        system("erase:5", b'{"authority":"court","reason":"law"}'),
        system("erase:6", b'{"authority":"court","reason":"law"}'),
    ]
    return world("person", [(entry, None if at in (3, 5, 6) else data) for at, (entry, data) in enumerate(rows)])


@pytest.fixture
async def people(read_db: str) -> Any:
    log = erasing()
    await mirror(read_db, log)
    async with opened(read_db, {}) as app, connect(app) as client:
        client.log = log  # type: ignore[attr-defined]
        yield client


async def test_no_answer_has_it(people: httpx.AsyncClient) -> None:
    paths = [
        "records/b", "records", "records/b/entries", "entries", "entries/3", "search", "diff?from=0",
        "download-records", "records/note/Born%20on%203%20May%201970", "records/a", "log/entries",
    ]  # fmt: skip
    for path in paths:
        path, _, query = path.partition("?")
        for format_ in FORMATS:
            for at in ("", "6", "7", "11"):
                answer = await people.get(f"/person/{path}.{format_}?{query}&{f'at={at}' if at else ''}")
                assert answer.status_code in (200, 404, 406), (path, format_, answer.text)
                assert "Born on" not in answer.text or path.startswith("records/note")
    for path in ("download-log.jsonl", "download-register"):
        assert b"Born on" not in (await people.get(f"/person/{path}")).content


async def test_it_is_said_that_it_was(people: httpx.AsyncClient) -> None:
    record = (await people.get("/person/records/b.json?full=1")).json()["b"]
    assert (record["item"], record["erased"]) == ([], True)
    assert read_yaml((await people.get("/person/records/b.yaml?full=1")).text)["b"] == record
    assert read_jsonl((await people.get("/person/records/b.jsonl")).text) == [record]
    _, row = read_csv((await people.get("/person/records/b.csv")).text)
    assert row[3:] == ["b", "", ""]
    assert len(read_ttl((await people.get("/person/records/b.ttl")).text)) == 3  # number, time, item
    assert "was erased" in Page((await people.get("/person/records/b.html")).text).text
    assert "erased" in Page((await people.get("/person/records.html")).text).text
    history = Page((await people.get("/person/records/a.html")).text).text
    assert "Erased" in history
    digest = format_hash(item_hash(item("b", SECRET)))
    answer = await people.get(f"/person/items/{digest}")
    assert answer.status_code == 404
    assert "was erased" in answer.json()["detail"]


async def test_its_proof_stays(people: httpx.AsyncClient) -> None:
    log = people.log  # type: ignore[attr-defined]
    proof = parse_proof((await people.get("/person/records/b.proof")).content)
    leaf = format_entry(user("b", item("b", SECRET))[0])
    assert check_proof_file(proof, leaf_hash(leaf), log.origin, log.verifiers).size == log.size
    for path, at in {"records/b": "", "log/entries/5": "", "entries/3": "7", "log/entries/3": "5"}.items():
        answer = await people.get(f"/person/{path}.proof?at={at or 11}")
        parts = parse_parts(parse_proof(answer.content).extra)
        assert (parts is not None, parts and parts.item) == (True, None)
        assert answer.headers["cache-control"] == "public, max-age=86400, immutable"
    harmless = await people.get("/person/log/entries/4.proof")
    assert parse_parts(parse_proof(harmless.content).extra) == ProofParts(
        format_entry(user("a", item("a", "harmless"))[0]), item("a", "harmless")
    )


async def test_the_proof_of_an_item_that_does_not_parse_has_its_bytes(read_db: str) -> None:
    unread = b'{"count":7,"person":"n"}'
    log = world("person", [*(system(*definition) for definition in FIELDS), user("n", unread)])
    await mirror(read_db, log)
    async with opened(read_db, {}) as app, connect(app) as client:
        answer = await client.get("/person/log/entries/3.proof")
    assert parse_parts(parse_proof(answer.content).extra) == ProofParts(format_entry(user("n", unread)[0]), unread)


async def test_rsf_says_that_it_cannot_say_it(people: httpx.AsyncClient) -> None:
    answer = await people.get("/person/download-rsf")
    assert answer.status_code == 406
    assert "download-log.jsonl" in answer.json()["detail"]
    assert (await people.get("/person/download-rsf/4/5")).status_code == 200  # what was not erased
    assert (await people.get("/person/download-rsf/2")).status_code == 406


async def test_the_log_says_whose_item_is_gone(people: httpx.AsyncClient) -> None:
    lines = read_jsonl((await people.get("/person/download-log.jsonl")).text)
    assert [at for at, line in enumerate(lines) if "item" not in line] == [3, 5, 6]
    assert all("item-hash" in line for line in lines)


async def test_an_item_that_stays_elsewhere_is_served(read_db: str) -> None:
    """Two entries brought the same item; the first one's was erased."""
    same = item("a", "harmless")
    rows = [*(system(*d) for d in FIELDS), user("a", None), user("a", same), user("a", same)]
    rows.append(system("erase:4", b'{"authority":"court","reason":"law"}'))
    made = [(entry, None if at == 4 else data) for at, (entry, data) in enumerate(rows)]
    await mirror(read_db, world("person", made))
    async with opened(read_db, {}) as app, connect(app) as client:
        answer = await client.get(f"/person/items/{format_hash(item_hash(same))}")
        assert (answer.status_code, answer.content) == (200, same)


async def test_a_salt_is_in_the_raw_item_alone(read_db: str) -> None:
    salt = "0f" * 16
    rows = [*(system(key, canonical.format({**json.loads(d), "_salt": salt})) for key, d in FIELDS)]
    raw = item("a", "x", _salt=salt)
    rows += [user("a", raw), user("a", item("a", "y", _salt="1f" * 16))]
    await mirror(read_db, world("person", rows))
    async with opened(read_db, {}) as app, connect(app) as client:
        answer = await client.get(f"/person/items/{format_hash(item_hash(raw))}.json")
        assert answer.json()["_salt"] == salt
        assert sha256(answer.content).digest() == item_hash(raw)
        for path in ("records/a", "records", "diff?from=0", "diff?from=4", "download-records", "register", "entries"):
            path, _, query = path.partition("?")
            for format_ in FORMATS:
                answer = await client.get(f"/person/{path}.{format_}?{query}")
                assert "_salt" not in answer.text, (path, format_)
                assert salt not in answer.text
        assert (await client.get(f"/person/records/_salt/{salt}")).status_code == 404
