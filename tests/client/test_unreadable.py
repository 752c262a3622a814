"""An item that no register admits, though its entry binds it: kept by every reader, and never said to be erased."""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark import AsyncClient, Gone, Rejected
from mintmark.register.entry import format_entry
from mintmark.register.reduce import Erasure
from mintmark.register.tables import read_jsonl
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.support.commands import spawn
from tests.support.lighthouse import DEFINITIONS, system, user
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT = len(DEFINITIONS)
NUMBER, BINARY = b'{"count":7,"lighthouse":"NUM"}', b"\xff\x00\n\t"
ROWS = [
    *(system(*definition) for definition in DEFINITIONS),
    user("NUM", NUMBER),
    user("BIN", BINARY),
    user("SEC", b'{"lighthouse":"SEC","name":"Secret"}'),
    user("END", None),
    system(f"erase:{AT + 2}", b'{"authority":"court","reason":"law"}'),
]


@asynccontextmanager
async def served() -> AsyncIterator[tuple[AsyncClient, World, str]]:
    world = World(kind=pb.KIND_REGISTER)
    items = [b"" if at == AT + 2 else item or b"" for at, (_, item) in enumerate(ROWS)]
    world.append([format_entry(entry) for entry, _ in ROWS], items)
    async with serve(world) as address, AsyncClient(address, world.signer.vkey) as client:
        yield client, world, address


async def test_the_library_tells_three_states() -> None:
    async with served() as (client, world, _):
        register = client.register(world.origin)
        records = await register.records()
        assert {key: (r.item, r.erased, r.unreadable) for key, r in records.items()} == {
            "NUM": (None, False, NUMBER),
            "BIN": (None, False, BINARY),
            "SEC": (None, True, None),
        }
        assert records["SEC"].erasure == Erasure(AT + 4, "law", "court")
        assert (await register.record("NUM")).unreadable == NUMBER
        with pytest.raises(Gone, match=f"erased by entry {AT + 4}, reason: law, authority: court"):
            await register.record("SEC")


async def test_exports_keep_them() -> None:
    async with served() as (client, world, _):
        log = client.log(world.origin)
        table = io.BytesIO()
        warnings = await log.export("csv", table)
        assert [line.split(b",")[0] for line in table.getvalue().splitlines()[1:]] == [b"NUM", b"BIN", b"SEC"]
        assert [warning.split("; ")[0] for warning in warnings] == [
            "the item of record 'NUM' cannot be read",
            "the item of record 'BIN' cannot be read",
            "the item of record 'SEC' was erased",
        ]
        whole = io.BytesIO()
        await log.export("jsonl", whole)
        lines = [json.loads(line) for line in whole.getvalue().splitlines()]
        assert [b64decode(line["item-base64"]) for line in lines if "item-base64" in line] == [NUMBER, BINARY]
        with pytest.raises(Rejected, match=r"an unreadable item .key 'NUM'.: export JSON Lines"):
            await log.export("rsf", io.BytesIO())


async def test_entries_show_them() -> None:
    async with served() as (_, world, address):
        where = (world.origin, "--grpc", address, "--vkey", world.signer.vkey, "--start", str(AT), "--end", str(AT + 4))
        shown = (await spawn("entries", *where)).out.splitlines()
        assert [line.split("\t")[-1] for line in shown] == [
            f"(unreadable) {NUMBER.decode()}", f"(unreadable) {BINARY.hex()}", "(erased)", "(ended)"
        ]  # fmt: skip
        lines = [json.loads(line) for line in (await spawn("entries", *where, "--json")).out.splitlines()]
        assert [line["item"] for line in lines] == [None] * 4
        assert [line.get("item-base64") for line in lines] == [
            b64encode(NUMBER).decode(), b64encode(BINARY).decode(), None, None
        ]  # fmt: skip


def test_no_register_takes_one_from_a_file() -> None:
    line = b'{"item-base64":"e30=","item-hash":"sha-256:%b","key":"A","timestamp":"2024-01-01T00:00:00Z","type":"user"}'
    with pytest.raises(Rejected, match="line 1: the item is unreadable"):
        list(read_jsonl(line % (b"0" * 64)))
