"""`prove` writes one file that says what it proves; `verify` reads it back, with no server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.note import COSIGNATURE, generate_skey
from mintmark.tlog.proof_file import ProofParts, parse_parts, parse_proof
from tests.support.commands import spawn
from tests.support.places import register
from tests.support.proofs import proof_file
from tests.support.world import World, serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Result


async def prove(world: World, out: Path, *arguments: object) -> Result:
    async with serve(world) as address:
        where = ("--grpc", address, "--vkey", world.signer.vkey)
        return await spawn("prove", world.origin, "-o", out, *arguments, *where)


async def test_a_record(tmp_path: Path) -> None:
    world, out = register(), tmp_path / "it.tlog-proof"
    result = await prove(world, out, "--record", "7", "--json")
    assert json.loads(result.out) == {"origin": world.origin, "index": 257, "size": 300, "proof": str(out)}
    assert out.read_bytes() == proof_file(world, 257)
    result = await spawn("verify", out, "--vkey", world.signer.vkey)
    assert (result.code, result.err) == (exits.OK, "")
    assert {"key: 7", "time: 2026-01-01T00:00:00Z", "  number: 257", "  thing: 7"} <= {*result.out.splitlines()}


async def test_the_entry_alone_still_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    world, out, entry = register(), tmp_path / "it", tmp_path / "entry"
    assert (await prove(world, out, "--index", "3", "--entry-out", entry)).code == exits.OK
    assert entry.read_bytes() == world.entries_[3]
    assert (await spawn("verify", out, "--entry", entry, "--vkey", world.signer.vkey)).code == exits.OK


async def test_an_entry_of_an_opaque_log(tmp_path: Path) -> None:
    world, out = World(), tmp_path / "it"
    world.append([b"one", b"\x1b[2J\xff", b""])
    for index, shown in enumerate(["one", "\\x1b[2J\\xff", ""]):
        assert (await prove(world, out, "--index", index)).code == exits.OK
        assert out.read_bytes() == proof_file(world, index, ProofParts(world.entries_[index]))
        result = await spawn("verify", out, "--vkey", world.signer.vkey)
        assert (result.code, result.out.splitlines()[1]) == (exits.OK, f"entry: {shown}")


async def test_an_item_that_the_server_has_not(tmp_path: Path) -> None:
    world, out = register(), tmp_path / "it"
    world.items[7] = b""
    result = await prove(world, out, "--index", "7")
    assert result.code == exits.OK
    assert "no item of this entry" in result.err
    assert parse_parts(parse_proof(out.read_bytes()).extra) == ProofParts(world.entries_[7])
    result = await spawn("verify", out, "--vkey", world.signer.vkey)
    assert (result.code, "not in this proof" in result.out) == (exits.OK, True)


async def test_an_item_that_does_not_parse(tmp_path: Path) -> None:
    from mintmark.register.entry import Entry, format_entry
    from mintmark.register.item import item_hash

    item, world, out = b'{"count":7,"zoo":"numitem"}', register(), tmp_path / "it"
    world.append([format_entry(Entry("numitem", "2026-01-01T00:00:00Z", "user", item_hash(item)))], [item])
    assert (await prove(world, out, "--index", "300")).code == exits.OK
    assert out.read_bytes() == proof_file(world, 300)


@pytest.mark.parametrize("index", [7, 8])
async def test_an_item_that_is_not_the_entrys(tmp_path: Path, index: int) -> None:
    world, out = register(), tmp_path / "it"
    world.items[7] = world.items[8]
    result = await prove(world, out, "--index", index)
    assert (result.code, out.exists()) == ((exits.LIED, False) if index == 7 else (exits.OK, True))


async def test_lines_that_were_not_checked_do_not_get_into_the_file(tmp_path: Path) -> None:
    world, out = register(), tmp_path / "it"
    signed = world.notes[-1]
    world.notes[-1] = cosign(signed, generate_skey("stranger.example", COSIGNATURE), 1_790_000_000)
    assert (await prove(world, out, "--index", "7")).code == exits.OK
    assert out.read_bytes() == proof_file(world, 7, note=signed)
