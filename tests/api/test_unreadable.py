"""An item that no register admits, though its entry binds it: shown as unreadable, never as erased."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.register.item import format_hash, item_hash
from tests.api.conftest import connect, mirror, opened, world
from tests.support.lighthouse import define_field, define_register, system, user
from tests.support.read_back import Page, read_csv, read_jsonl, read_ttl, read_yaml

if TYPE_CHECKING:
    import httpx

FOREIGN = {
    "numitem": rb'{"count":7,"zoo":"numitem"}',
    "nulitem": rb'{"name":"a\u0000b","zoo":"nulitem"}',
    "surr": rb'{"name":"a\ud800b","zoo":"surr"}',
    "dup": b'{"name":"a","name":"b","zoo":"dup"}',
    "binary": b"\xff\x00\n\t<b>",
}
GOOD = b'{"name":"Chester","zoo":"good"}'
ERASED = b'{"name":"a secret","zoo":"gone"}'
FIRST = 3  # the first user entry's index
GONE = FIRST + len(FOREIGN) + 1
ERASURE = {"index": GONE + 2, "reason": "law", "authority": "court"}


def zoo() -> Any:
    """Unreadable items, one that is read, one that was erased; a record that became unreadable and one that was."""
    rows = [
        *(system(*definition) for definition in (define_field("zoo"), define_field("name"))),
        system(*define_register("zoo", ["zoo", "name"])),
        *(user(key, item) for key, item in FOREIGN.items()),
        user("good", GOOD),
        user("gone", ERASED),
        user("good", FOREIGN["numitem"]),
        system(f"erase:{GONE}", b'{"authority":"court","reason":"law"}'),
        user("dup", b'{"name":"better","zoo":"dup"}'),
    ]
    return world("zoo", [(entry, None if at == GONE else data) for at, (entry, data) in enumerate(rows)])


@pytest.fixture
async def client(read_db: str) -> Any:
    await mirror(read_db, zoo())
    async with opened(read_db, {}) as app, connect(app) as client:
        yield client


async def get(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(f"/zoo/{path}")
    assert answer.status_code == 200, (path, answer.text)
    return answer


@pytest.mark.parametrize("key", ["numitem", "nulitem", "surr", "binary"])
async def test_a_record_says_that_it_is_unreadable(client: httpx.AsyncClient, key: str) -> None:
    record = (await get(client, f"records/{key}.json?full=1")).json()[key]
    assert (record["item"], record["unreadable"], record.get("erased")) == ([], True, None)
    assert read_yaml((await get(client, f"records/{key}.yaml?full=1")).text)[key] == record
    assert read_jsonl((await get(client, f"records/{key}.jsonl?full=1")).text) == [record]
    assert (await client.get(record["item-bytes"])).content == FOREIGN[key]
    page = Page((await get(client, f"records/{key}.html")).text).text
    assert "unreadable" in page
    assert "erased" not in page
    entry = (await get(client, f"log/entries/{record['index']}.json?full=1")).json()[0]
    assert (entry["unreadable"], entry.get("erased")) == (True, None)


async def test_the_three_states_in_a_list(client: httpx.AsyncClient) -> None:
    records = (await get(client, "records.json?full=1")).json()
    states = {key: (bool(found["item"]), "unreadable" in found, "erased" in found) for key, found in records.items()}
    unreadable = (False, True, False)
    assert states == {
        **dict.fromkeys(("numitem", "nulitem", "surr", "binary", "good"), unreadable),
        "dup": (True, False, False),
        "gone": (False, False, True),
    }
    assert records["gone"]["erasure"] == ERASURE
    assert "erasure" not in records["numitem"]
    entries = (await get(client, "log/entries.json?full=1")).json()
    assert [entry["index"] for entry in entries if "unreadable" in entry] == [*range(FIRST, FIRST + 5), GONE + 1]
    assert [entry["index"] for entry in entries if "erased" in entry] == [GONE]
    assert Page((await get(client, "entries.html")).text).text.count("unreadable") == 6


async def test_an_erased_item_says_by_what_entry_why_and_by_whom(client: httpx.AsyncClient) -> None:
    said = f"erased by entry {GONE + 2}, reason: law, authority: court"
    for path in (f"items/{format_hash(item_hash(ERASED))}.json", f"log/items/{GONE}"):
        answer = await client.get(f"/zoo/{path}")
        assert (answer.status_code, said in answer.text) == (404, True), answer.text
    for path in ("records/gone.html", f"log/entries/{GONE}.html", "records.html"):
        text = Page((await get(client, path)).text).text
        assert all(word in text for word in (f"entry {GONE + 2} of the log", "law", "court")), path


@pytest.mark.parametrize("key", FOREIGN)
async def test_the_item_itself(client: httpx.AsyncClient, key: str) -> None:
    digest = format_hash(item_hash(FOREIGN[key]))
    at = FIRST + list(FOREIGN).index(key)
    for suffix in ("json", "csv", "ttl"):
        answer = await client.get(f"/zoo/items/{digest}.{suffix}")
        assert answer.status_code == 406
        assert f"/zoo/log/items/{at}" in answer.text
    page = await get(client, f"items/{digest}.html")
    assert f"/zoo/log/items/{at}" in page.text
    raw = await get(client, f"log/items/{at}")
    assert (raw.content, raw.headers["content-type"]) == (FOREIGN[key], "application/octet-stream")
    assert raw.headers["x-content-type-options"] == "nosniff"


async def test_the_bytes_of_any_item_and_of_none(client: httpx.AsyncClient) -> None:
    assert (await get(client, f"log/items/{FIRST + len(FOREIGN)}")).content == GOOD
    for index in ("99", "x", "-1"):
        assert (await client.get(f"/zoo/log/items/{index}")).status_code == 404


async def test_downloads_keep_them(client: httpx.AsyncClient) -> None:
    csv = read_csv((await get(client, "download-records.csv")).text)
    assert [row[3:] for row in csv if row[3] in ("numitem", "good", "gone")] == [
        ["numitem", "", ""], ["gone", "", ""], ["good", "", ""]
    ]  # fmt: skip
    lines = {line["key"]: line for line in read_jsonl((await get(client, "download-records.jsonl")).text)}
    assert (lines["surr"]["unreadable"], lines["gone"]["erased"]) == (True, True)
    assert len(read_ttl((await get(client, "records/surr.ttl")).text)) == 3  # number, time, item
    log = [json.loads(line) for line in (await get(client, "download-log.jsonl")).text.splitlines()]
    kept = [b64decode(line["item-base64"]) for line in log if "item-base64" in line]
    assert kept == [*FOREIGN.values(), FOREIGN["numitem"]]
    assert [at for at, line in enumerate(log) if not {"item", "item-base64"} & line.keys()] == [GONE]


async def test_the_archive_holds_their_bytes(client: httpx.AsyncClient) -> None:
    with zipfile.ZipFile(io.BytesIO((await get(client, "download-register")).content)) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        for item in FOREIGN.values():
            assert archive.read(f"zoo/item/{item_hash(item).hex()}.bin") == item
        assert archive.read(f"zoo/item/{item_hash(GOOD).hex()}.json") == GOOD
        assert not [name for name in names if item_hash(ERASED).hex() in name]


async def test_rsf_cannot_say_them(client: httpx.AsyncClient) -> None:
    answer = await client.get("/zoo/download-rsf")
    assert (answer.status_code, "an unreadable item (key 'numitem')" in answer.text) == (406, True)
    assert (await client.get(f"/zoo/download-rsf/{len(FOREIGN)}/{len(FOREIGN) + 1}")).status_code == 200


async def test_changes_keep_them(client: httpx.AsyncClient) -> None:
    start, end = FIRST + len(FOREIGN) + 1, GONE + 2
    (change,) = [c for c in (await get(client, f"diff.json?from={start}&to={end}")).json() if c["key"] == "good"]
    assert (change["before"]["item"][0]["name"], change["after"]["unreadable"]) == ("Chester", True)
    rows = read_csv((await get(client, f"diff.csv?from={FIRST}&to={FIRST + 1}")).text)
    assert rows[1:] == [["numitem", "added", "", "", ""]]
    assert "unreadable" in Page((await get(client, f"diff.html?from={FIRST}&to={FIRST + 1}")).text).text


async def test_a_history_tells_them_apart(client: httpx.AsyncClient) -> None:
    for key, words in (("good", ("Unreadable", "Added")), ("dup", ("Changed", "Unreadable")), ("gone", ("Erased",))):
        text = Page((await get(client, f"records/{key}.html")).text).text
        assert all(word in text for word in words), key


async def test_two_entries_of_one_unreadable_item_of_which_one_was_erased(read_db: str) -> None:
    same = FOREIGN["numitem"]
    rows = [
        *(system(*d) for d in (define_field("zoo"), define_register("zoo", ["zoo"]))),
        user("a", same),
        user("b", same),
    ]
    rows.append(system("erase:2", b'{"authority":"court","reason":"law"}'))
    await mirror(read_db, world("zoo", [(entry, None if at == 2 else data) for at, (entry, data) in enumerate(rows)]))
    async with opened(read_db, {}) as app, connect(app) as client:
        assert (await client.get(f"/zoo/items/{format_hash(item_hash(same))}.html")).status_code == 200
        records = (await get(client, "records.json?full=1")).json()
        assert [("erased" in records[key], "unreadable" in records[key]) for key in "ab"] == [
            (True, False),
            (False, True),
        ]
        with zipfile.ZipFile(io.BytesIO((await get(client, "download-register")).content)) as archive:
            assert archive.read(f"zoo/item/{item_hash(same).hex()}.bin") == same
