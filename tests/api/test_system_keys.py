"""System keys of a foreign log, and those by which a log speaks of itself: a mirror keeps and shows all of them."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.conftest import connect, mirror, opened, world
from tests.support.lighthouse import FAR, ROWS, define_field, system, user
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    import httpx

OWN = ["log:index", "log:key", "log:disavow:3", "log:retired"]
UNKNOWN = ["region", "colour of it", "field", "register:", "field:Name", "name:x", "x" * 255, "\N{SNOWMAN}"]
_, FIELD = define_field("region", "integer")
SAID = b'{"said":"something"}'
# An item of the log's own entries is a record's too: a file that leaves these out must have it all the same.
ADDED = [*(system(key, FAR) for key in OWN), *(system(key, FIELD) for key in UNKNOWN), system("custodian", SAID)]
LAST = [user("FAR", FAR)]


@pytest.fixture
async def client(read_db: str) -> Any:
    await mirror(read_db, world("lighthouse", [*ADDED[:4], *ROWS, *ADDED[4:], *LAST]))
    async with opened(read_db, {}) as app, connect(app) as client:
        yield client


async def test_they_are_kept_and_shown(client: httpx.AsyncClient) -> None:
    entries = (await client.get("/lighthouse/log/entries.json?limit=100&full=1")).json()
    assert [entry["key"] for entry in entries if entry.get("type") == "system"] == [
        *OWN, *(row.key for row, _ in ROWS[:-2]), *UNKNOWN, "custodian"
    ]  # fmt: skip
    for path in ("log/entries.html", "log/entries/0.html", "log/entries/20.html"):
        assert (await client.get(f"/lighthouse/{path}")).status_code == 200


async def test_they_define_nothing(client: httpx.AsyncClient) -> None:
    register = (await client.get("/lighthouse/register.json?full=1")).json()
    assert (register["custodian"], register["total-records"]) == ("A. Keeper", 2)
    (region,) = [field for field in register["fields"] if field["field"] == "region"]
    assert region["datatype"] == "string"


async def test_an_rsf_file_leaves_out_what_the_log_says_of_itself(client: httpx.AsyncClient) -> None:
    data = (await client.get("/lighthouse/download-rsf")).content
    assert b"log:" not in data
    assert data.count(b"add-item\t" + FAR) >= 1
    users = [line for line in data.splitlines() if line.startswith(b"append-entry\tuser")]
    assert len(users) == 3
    first = (await client.get("/lighthouse/download-rsf/2/3")).content
    assert [entry.entry.key for entry in read_rsf(b"".join(first.splitlines(keepends=True)[1:-1]))] == ["FAR"]


async def test_the_archive_and_the_log_have_all(client: httpx.AsyncClient) -> None:
    with zipfile.ZipFile(io.BytesIO((await client.get("/lighthouse/download-register")).content)) as archive:
        assert len([name for name in archive.namelist() if "/system/" in name]) == len(ADDED) + len(ROWS) - 2
    log = (await client.get("/lighthouse/download-log.jsonl")).text
    assert all(f'"key":"{key}"' in log for key in OWN)
