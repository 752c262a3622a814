"""Client commands, as processes, against a log that is served over gRPC and may lie."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.tlog.note import generate_skey
from tests.support.commands import spawn
from tests.support.world import Lie, World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.commands import Result

    Ask = Callable[..., object]

SIZES = (700, 900)


def opaque() -> World:
    world = World()
    for size in SIZES:
        world.append([b"entry %d" % index for index in range(world.size, world.size + size)])
    return world


def register() -> World:
    world = World(kind="register")
    for size in SIZES:
        added = range(world.size, world.size + size)
        items = [b'{"name":"%d","things":"k%d"}' % (index, index % 50) for index in added]
        entries = [
            Entry(f"k{(world.size + at) % 50}", "2026-01-01T00:00:00Z", "user", item_hash(item))
            for at, item in enumerate(items)
        ]
        world.append([format_entry(entry) for entry in entries], items)
    return world


@asynccontextmanager
async def asking(world: World, key: str = "") -> AsyncIterator[Ask]:
    """Runs a command on the world's log, by the world's key unless another is given."""
    async with serve(world) as address:

        async def ask(command: str, *arguments: object, **environment: str) -> Result:
            where = ("--grpc", address, "--vkey", key or world.signer.vkey)
            return await spawn(command, world.origin, *arguments, *where, **environment)

        yield ask


HEADER = b"HTTP/1.1 200 OK\r\nMintmark-Size: 5\r\n"
ANSWERS = {
    "nothing": b"",
    "no HTTP": b"\0\0\6\4\0\0\0\0\0",
    "less than it says": HEADER + b"Content-Length: 1000\r\n\r\n{}",
    "another JSON": HEADER + b"\r\n[]",
    "too much": HEADER + b"\r\n" + b" " * 2**21,
    "another scheme": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_what_is_no_read_api_is_told_as_such(answer: str, tmp_path: Path) -> None:
    async def serve_anything(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(2**16)
        writer.write(ANSWERS[answer])
        writer.close()

    server = await asyncio.start_server(serve_anything, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asking(register()) as ask:
        files = ("--record", "k1", "-o", tmp_path / "p", "--entry-out", tmp_path / "e")
        result = await ask("prove", *files, "--http", f"http://127.0.0.1:{port}")
        assert result.code == exits.NOT_YET, result
        assert result.err.startswith(f"mintmark: http://127.0.0.1:{port}")
        assert result.err.count("\n") == 1
        assert (await ask("prove", *files, "--http", f"127.0.0.1:{port}")).code == exits.ERROR


async def test_checkpoint() -> None:
    world = opaque()
    async with asking(world) as ask:
        found = json.loads((await ask("checkpoint", "--json")).out)
        assert found == {
            "origin": world.origin,
            "size": 1600,
            "root": world.edge.root().hex(),
            "note": world.notes[-1].decode(),
        }
        assert (await ask("checkpoint", "--raw")).out.encode() == world.notes[-1]


@pytest.mark.parametrize("lie", [Lie.FLIP_ROOT, Lie.FLIP_SIGNATURE, Lie.FOREIGN_KEY, Lie.FOREIGN_ORIGIN])
async def test_a_checkpoint_that_lies(lie: Lie) -> None:
    world = opaque()
    world.lie = lie
    async with asking(world) as ask:
        result = await ask("checkpoint", "--json")
    assert (result.code, result.out) == (exits.LIED, "")
    assert json.loads(result.err)["error"]["exit"] == exits.LIED


async def test_another_key_than_the_logs() -> None:
    world = opaque()
    async with asking(world, generate_skey(world.origin).vkey) as ask:
        assert (await ask("checkpoint")).code == exits.LIED


async def test_a_key_of_another_log() -> None:
    async with asking(opaque(), generate_skey("world.example/other").vkey) as ask:
        result = await ask("checkpoint")
    assert result.code == exits.ERROR
    assert "the key is of world.example/other, not of world.example/things" in result.err


async def test_nobody_there() -> None:
    result = await spawn("checkpoint", "x/y", "--grpc", "127.0.0.1:1", "--vkey", generate_skey("x/y").vkey)
    assert result.code == exits.NOT_YET
    assert result.err.startswith("mintmark: 127.0.0.1:1 cannot be reached")


@pytest.mark.parametrize(("start", "end"), [(0, 3), (255, 257), (300, 300), (1500, 1600), (513, 514), (0, 1600)])
async def test_entries(start: int, end: int) -> None:
    async with asking(opaque()) as ask:
        result = await ask("entries", "--start", start, "--end", end)
    assert result.code == exits.OK, result.err
    assert result.out.splitlines() == [f"{index}\tentry {index}" for index in range(start, end)]


async def test_entries_as_json() -> None:
    world = register()
    async with asking(world) as ask:
        lines = (await ask("entries", "--start", 1598, "--json")).out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"index": index, "entry": json.loads(world.entries_[index]), "item": json.loads(world.items[index])}
        for index in (1598, 1599)
    ]


async def test_entries_beyond_the_head() -> None:
    async with asking(opaque()) as ask:
        assert (await ask("entries", "--start", 1600, "--end", 1601)).code == exits.NOT_YET


TOLD = [Lie.FLIP_ENTRY, Lie.FLIP_PROOF, Lie.TRUNCATE_BUNDLE, Lie.TRUNCATE_STREAM, Lie.REORDER_ENTRIES]
TOLD += [Lie.REORDER_CHUNKS, Lie.DROP_ENTRY, Lie.DROP_CHUNK, Lie.DUPLICATE_ENTRY, Lie.DUPLICATE_CHUNK, Lie.EXTRA_BUNDLE]


@pytest.mark.parametrize("lie", [*TOLD, Lie.FLIP_ITEM])
async def test_an_export_of_lies_leaves_no_file(lie: Lie, tmp_path: Path) -> None:
    world = register() if lie is Lie.FLIP_ITEM else opaque()
    world.lie = lie
    async with asking(world) as ask:
        result = await ask("export", "-o", tmp_path / "out.jsonl")
    assert result.code == exits.LIED
    assert list(tmp_path.iterdir()) == []


async def test_export_of_an_opaque_log(tmp_path: Path) -> None:
    world = opaque()
    async with asking(world) as ask:
        assert (await ask("export", "-o", tmp_path / "out")).code == exits.OK
        assert (await ask("export", "--format", "csv")).code == exits.ERROR
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == world.size
    assert json.loads(lines[7]) == {"index": 7, "base64": "ZW50cnkgNw=="}


async def test_audit_remembers(tmp_path: Path) -> None:
    world = register()
    newest, world.notes = world.notes[-1], world.notes[:1]
    state = tmp_path / "state"
    async with asking(world) as ask:
        first = json.loads((await ask("audit", "--state", state, "--json")).out)
        assert (first["size"], first["before"]) == (700, None)
        assert state.read_bytes() == world.notes[0]
        world.notes.append(newest)
        second = await ask("audit", "--state", state, "--full", "--second-opinion", "--json")
        assert second.code == exits.OK, second.err
        assert json.loads(second.out)["before"] == 700
        assert state.read_bytes() == newest


async def test_audit_has_a_state_of_its_own_for_each_key(tmp_path: Path) -> None:
    world = opaque()
    async with asking(world) as ask:
        assert (await ask("audit", XDG_STATE_HOME=str(tmp_path))).code == exits.OK
    (state,) = (tmp_path / "mintmark" / "audit").iterdir()
    assert state.name.startswith("world.example%2Fthings+")


@pytest.mark.parametrize("fork_at", [699, 650])
async def test_audit_keeps_the_evidence_of_a_fork(fork_at: int, tmp_path: Path) -> None:
    world = opaque()
    state = tmp_path / "state"
    state.write_bytes(world.notes[0])
    fork = world.fork(fork_at, [b"another history %d" % index for index in range(60)])
    async with asking(fork) as ask:
        result = await ask("audit", "--state", state, "--json")
    assert result.code == exits.LIED
    error = json.loads(result.err)["error"]
    assert error["type"] == "Fork"
    assert state.read_bytes() == world.notes[0]
    (evidence,) = tmp_path.glob("state.evidence-*.json")
    assert str(evidence) in error["message"]
    assert json.loads(evidence.read_text())["notes"] == [world.notes[0].decode(), fork.notes[-1].decode()]


async def test_audit_of_a_head_that_is_smaller_than_the_last(tmp_path: Path) -> None:
    """It may be that of a mirror that is behind: no contradiction until it shows another tree."""
    world = opaque()
    state = tmp_path / "state"
    state.write_bytes(world.notes[-1])
    world.lie = Lie.STALE
    async with asking(world) as ask:
        result = await ask("audit", "--state", state, "--json")
    assert (result.code, json.loads(result.err)["error"]["type"]) == (exits.NOT_YET, "NotAvailableYet")
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    assert state.read_bytes() == world.notes[-1]


async def test_a_full_audit_misses_no_item(tmp_path: Path) -> None:
    world = register()
    world.lie = Lie.WITHHOLD_ITEM
    async with asking(world) as ask:
        assert (await ask("audit", "--state", tmp_path / "state")).code == exits.OK
        result = await ask("audit", "--state", tmp_path / "state", "--full")
    assert result.code == exits.LIED
    assert "no entry erases it" in result.err


async def test_a_damaged_state_is_not_a_lie_of_the_log(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_bytes(b"what is this")
    async with asking(opaque()) as ask:
        assert (await ask("audit", "--state", state)).code == exits.ERROR
    assert state.read_bytes() == b"what is this"
