"""What an export writes is read back to the same data, or nothing is written and the record is named."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from mintmark import AsyncClient, Rejected
from mintmark.register import canonical
from mintmark.register.entry import format_entry
from mintmark.register.schema import Schema
from mintmark.register.tables import read_csv, read_jsonl, read_tsv
from mintmark.tlog.note import generate_skey
from tests.support.lighthouse import DEFINITIONS, FAR, ROWS, user
from tests.support.rsf import read_rsf
from tests.support.world import World, serve

if TYPE_CHECKING:
    from mintmark.register.item import Item

SCHEMA = Schema.load(dict(DEFINITIONS))
ITEMS: list[Item] = [
    {"lighthouse": "A", "name": "tab\tand\nline\r\n", "light-colours": ["white;red", "green"]},
    {"lighthouse": "B", "name": '"quoted", and ; more', "light-colours": ["[]", ""]},
    {"lighthouse": "C", "light-colours": []},
    {"lighthouse": "D", "light-colours": [""], "region": "=1+1"},
    {"lighthouse": "E", "light-colours": ['["a","b"]'], "name": "1\tx\n2\ty"},
    {"lighthouse": "F", "light-colours": ["white", "red"]},
]


async def exported(format_: str, items: list[Item], stream: io.BytesIO) -> list[str]:
    origin = "world.example/lighthouse"
    world = World(origin, "register", generate_skey(origin))
    rows = [*ROWS, *(user(str(item["lighthouse"]), canonical.format(item)) for item in items)]
    world.append([format_entry(entry) for entry, _ in rows], [item or b"" for _, item in rows])
    async with serve(world) as address, AsyncClient(address, world.signer.vkey) as client:
        return await client.log("lighthouse").export(format_, stream)


@pytest.mark.parametrize("format_", ["csv", "tsv"])
async def test_a_table_has_the_records(format_: str) -> None:
    stream = io.BytesIO()
    assert await exported(format_, ITEMS, stream) == []
    read = {"csv": read_csv, "tsv": read_tsv}[format_]
    assert [row.item for row in read(stream.getvalue(), SCHEMA)][2:] == ITEMS


async def test_json_lines_and_rsf_have_the_log() -> None:
    lines, rsf = io.BytesIO(), io.BytesIO()
    await exported("jsonl", ITEMS, lines)
    await exported("rsf", ITEMS, rsf)
    assert [row.item for row in read_jsonl(lines.getvalue())][-len(ITEMS) :] == ITEMS
    items = [row.item for row in read_rsf(rsf.getvalue()) if row.entry.type == "user"]
    assert items[0] == FAR
    assert items[-len(ITEMS) :] == [canonical.format(item) for item in ITEMS]


@pytest.mark.parametrize(
    "item",
    [
        {"lighthouse": "X", "name": ["a"]},
        {"lighthouse": "X", "name": ""},
        {"lighthouse": "X", "light-colours": "white"},
    ],
)
@pytest.mark.parametrize("format_", ["csv", "tsv"])
async def test_what_a_table_cannot_say_is_refused_before_the_first_byte(format_: str, item: Item) -> None:
    stream = io.BytesIO()
    with pytest.raises(Rejected, match="record 'X'") as caught:
        await exported(format_, [*ITEMS, item], stream)
    assert (stream.getvalue(), caught.value.field) == (b"", list(item)[1])
