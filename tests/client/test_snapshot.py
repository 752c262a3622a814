"""A register as it was: by size, by time, and what ended or was erased since."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mintmark import AsyncClient, Gone, Malformed, NotAvailableYet, NotFound, ProofError, Rejected
from mintmark.client.snapshot import size_at
from mintmark.register.entry import Row, format_entry, parse_entry
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.support.lighthouse import DEFINITIONS, ROWS, system, user
from tests.support.world import Lie, World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.client.register import AsyncRegister
    from mintmark.register.entry import Entry

DEFINED = len(DEFINITIONS)
OTHER = b'{"lighthouse":"FAR","name":"Farther"}'
LATER: list[tuple[Entry, bytes | None]] = [
    user("FAR", OTHER, "2024-04-01T00:00:00Z"),
    user("KIN", None, "2024-04-02T00:00:00Z"),
    system("custodian", b'{"custodian":"B. Keeper"}', "2024-04-03T00:00:00Z"),
    user("SEC", b'{"lighthouse":"SEC","name":"Secret"}', "2024-04-04T00:00:00Z"),
    system(f"erase:{DEFINED + 5}", b'{"authority":"A","reason":"R"}', "2024-04-05T00:00:00Z"),
]


@pytest.fixture
def world() -> World:
    world = World(kind=pb.KIND_REGISTER)
    rows = [*ROWS, *LATER]
    items = [item or b"" for _, item in rows]
    items[DEFINED + 5] = b""  # erased
    world.append([format_entry(entry) for entry, _ in rows], items)
    return world


@asynccontextmanager
async def reading(world: World) -> AsyncIterator[AsyncRegister]:
    async with serve(world) as address, AsyncClient(address, world.signer.vkey) as client:
        yield client.register(world.origin)


async def test_the_records_that_stand(world: World) -> None:
    async with reading(world) as register:
        records = await register.records()
        assert list(records) == ["FAR", "SEC"]
        assert records["FAR"].item == {"lighthouse": "FAR", "name": "Farther"}
        assert (records["SEC"].item, records["SEC"].erased) == (None, True)
        assert (await register.record("FAR")).index == DEFINED + 2
        assert [version.index for version in await register.history("FAR")] == [DEFINED, DEFINED + 2]
        ended = (await register.history("KIN"))[-1]
        assert (ended.item, ended.erased, ended.timestamp) == (None, False, "2024-04-02T00:00:00Z")
        for key, error in (("nosuch", NotFound), ("KIN", NotFound), ("SEC", Gone)):
            with pytest.raises(error):
                await register.record(key)
        with pytest.raises(NotFound):
            await register.history("nosuch")
        schema = await register.schema()
        assert (schema.custodian, [field.name for field in schema.columns][:2]) == ("B. Keeper", ["lighthouse", "name"])


async def test_the_past(world: World) -> None:
    async with reading(world) as register:
        past = await register.at(DEFINED + 2)
        assert (past.size, past.head.size, list(past.records())) == (DEFINED + 2, world.size, ["FAR", "KIN"])
        assert past.record("FAR").item == {
            "light-colours": ["white", "red"],
            "lighthouse": "FAR",
            "name": "Far Point, West",
            "region": "W",
            "start-date": "1871",
        }
        assert past.schema().custodian == "A. Keeper"
        assert (await register.at("2024-04-02T23:59:59Z")).size == DEFINED + 4
        berlin = timezone(timedelta(hours=2))
        assert (await register.at(datetime(2024, 4, 1, 2, tzinfo=berlin))).size == DEFINED + 3
        assert (await register.at(datetime(2020, 1, 1, tzinfo=UTC))).records() == {}
        assert (await register.at(0)).records() == {}
        for when, error in (
            (world.size + 1, NotAvailableYet),
            ("yesterday", Malformed),
            (datetime(2024, 4, 1), Malformed),
        ):
            with pytest.raises(error):
                await register.at(when)


def rows(*timestamps: str) -> list[Row]:
    """Entries of a type and a day each: u1 is a record's of the first, s2 a definition's of the second."""
    kinds = {"u": "user", "s": "system"}
    leaves = [
        b'{"key":"name","timestamp":"2024-01-0%bT00:00:00Z","type":"%b"}' % (text[1:].encode(), kinds[text[0]].encode())
        for text in timestamps
    ]
    return [Row(index, b"", parse_entry(leaf), None, False) for index, leaf in enumerate(leaves)]


@pytest.mark.parametrize(
    ("timestamps", "day", "size"),
    [
        ((), 1, 0),
        (("u1", "u2", "u3"), 2, 2),
        (("u2", "u3"), 1, 0),
        (("s9", "u1", "u2"), 1, 2),  # a definition before a record that counts, whatever it says of its age
        (("u1", "s1", "s3", "s1", "u4"), 2, 2),
        (("u1", "s1", "u1", "s2"), 2, 4),
        (("s1", "s2", "s3"), 2, 2),
    ],
)
def test_a_time_ends_before_the_first_younger_entry(timestamps: tuple[str, ...], day: int, size: int) -> None:
    assert size_at(rows(*timestamps), f"2024-01-0{day}T00:00:00Z") == size


async def test_an_item_that_is_withheld_is_not_an_erased_one(world: World) -> None:
    world.items[DEFINED] = b""
    async with reading(world) as register:
        with pytest.raises(ProofError, match=f"the item of entry {DEFINED} is missing"):
            await register.records()


async def test_an_opaque_log_has_no_records() -> None:
    world = World()
    world.append([b"what is this"])
    async with reading(world) as register:
        with pytest.raises(Rejected, match="is not a register"):
            await register.records()


async def test_a_flipped_item_is_no_record(world: World) -> None:
    world.lie = Lie.FLIP_ITEM
    async with reading(world) as register:
        with pytest.raises(ProofError):
            await register.records()
