"""Streams as a process may be started with: closed, full, gone, or without our characters. No defect of ours shows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.tlog.note import generate_skey
from tests.support.commands import one_sentence, shell, spawn
from tests.support.mint_site import LIGHTHOUSE, THINGS, TOKEN, Site, create, stored
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mintmark.client.mint_client import MintClient

BYTE = os.fsdecode(b"\xff")  # of a command line, as Python hands it on
READING = ("checkpoint", "checkpoint --json", "checkpoint --raw", "entries", "entries --json", "export", "audit")


@pytest.fixture
def world() -> World:
    world = World()
    world.append(["Ångström".encode(), b"two", b"\xff\xfe"])
    return world


@pytest.mark.parametrize("command", [*READING, "--help", "--version"])
@pytest.mark.parametrize(("line", "code", "said"), [
    ("@ >&-", exits.ERROR, "stdout: it is closed"),
    ("@ >/dev/full", exits.ERROR, "stdout: No space left on device"),
    ("@ >/dev/full 2>/dev/full", exits.ERROR, ""),
    ("@ >&- 2>&-", exits.ERROR, ""),
    ("@ <&-", exits.OK, ""),
    ("@ 2>&-", exits.OK, ""),
    ("@ 2>/dev/full", exits.OK, ""),
    ("@ | true; exit ${PIPESTATUS[0]}", None, ""),
])  # fmt: skip
async def test_a_stream_that_is_closed_full_or_gone(
    world: World, tmp_path: Path, command: str, line: str, code: int | None, said: str
) -> None:
    name, *options = command.split()
    async with serve(world) as address:
        where = (world.origin, "--grpc", address, "--vkey", world.signer.vkey, *options)
        found = await shell(line, name, *(() if name.startswith("--") else where), XDG_STATE_HOME=str(tmp_path))
    assert found.code == code or (code is None and found.code in (exits.OK, exits.BROKEN_PIPE)), found
    if "--json" in options and said:
        assert json.loads(found.err)["error"]["message"] == said
    else:
        assert found.err == (f"mintmark: {said}\n" if said else "")


@pytest.mark.parametrize("line", ["@ >&-", "@ >/dev/full"])
async def test_an_error_in_json_where_stdout_takes_nothing(world: World, line: str) -> None:
    async with serve(world) as address:
        said = await shell(line, "checkpoint", world.origin, "--grpc", address, "--vkey", world.signer.vkey, "--json")
    assert (said.code, json.loads(said.err)["error"]["type"]) == (exits.ERROR, "OSError")


async def test_what_a_closed_stdout_leaves_in_its_place(world: World, tmp_path: Path) -> None:
    """Nothing of what is printed gets into a file that happens to be opened next."""
    async with serve(world) as address:
        where = (world.origin, "--grpc", address, "--vkey", world.signer.vkey, "--state", tmp_path / "state")
        assert (await shell("@ <&- >&- 2>&-", "audit", *where)).code == exits.ERROR
    assert (tmp_path / "state").read_bytes() == world.notes[-1]


@pytest.mark.parametrize("environment", [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C"},
])  # fmt: skip
async def test_characters_that_the_terminal_lacks(tmp_path: Path, environment: dict[str, str]) -> None:
    made = await spawn("keygen", "log.example/a", "--json", "-o", tmp_path / "żłw", **environment)
    assert made.code == exits.OK, made
    assert os.fsencode(json.loads(made.out)["key"]) == os.fsencode(tmp_path / "żłw" / "a.key")
    (vkey,) = json.loads(made.out)["vkeys"]
    said = await spawn("checkpoint", "łąź", "--grpc", "127.0.0.1:1", "--vkey", vkey, **environment)
    assert (said.code, said.err.count("\n"), "internal" in said.err) == (exits.ERROR, 1, False), said
    made = await spawn("keygen", "log.example/a", "-o", tmp_path / "żłw", **environment)
    assert (made.code, made.err.count("\n"), "never overwritten" in made.err) == (exits.ERROR, 1, True), made


@pytest.fixture
async def minted(site: Site) -> AsyncIterator[tuple[MintClient, tuple[str, ...], tuple[str, ...]]]:
    """A mint, and the options that name its opaque log and its register."""
    async with site.running() as client:
        await create(client)
        server = ("--grpc", client.address, "--vkey")
        yield client, (*server, site.signers[THINGS].vkey), (*server, site.signers[LIGHTHOUSE].vkey)


async def test_an_entry_of_any_bytes(minted: tuple[MintClient, tuple[str, ...], tuple[str, ...]]) -> None:
    client, where, _ = minted
    said = await spawn("append", THINGS, BYTE, "ö", f"a{BYTE}z", *where, MINTMARK_TOKEN=TOKEN)
    assert said.code == exits.OK, said
    assert (await stored(client, THINGS))[0] == [b"\xff", "ö".encode(), b"a\xffz"]
    said = await spawn("append", THINGS, *where, stdin=b"\xfe\n\xfd\n", MINTMARK_TOKEN=TOKEN)
    assert said.code == exits.OK, said
    assert (await stored(client, THINGS))[0][3:] == [b"\xfe", b"\xfd"]


@pytest.mark.parametrize("options", [(), ("--key", "A", "--item", "-")])
async def test_what_is_to_be_read_from_a_stdin_that_is_closed(options: tuple[str, ...]) -> None:
    where = ("--grpc", "127.0.0.1:1", "--vkey", generate_skey(THINGS).vkey)
    one_sentence(await shell("@ <&-", "append", THINGS, *options, *where), exits.ERROR, "stdin is closed")
    said = await shell("@ <&-", "import", THINGS, "-", "--format", "rsf", *where)
    one_sentence(said, exits.ERROR, "stdin is closed")


@pytest.mark.parametrize("options", [
    ("--key", BYTE, "--item", '{"lighthouse":"A"}'),
    ("--key", "A", "--item", BYTE),
    ("--key", "A", "--item", "-"),
    ("--tombstone", BYTE),
    ("--erase", "3", "--reason", BYTE, "--authority", "A"),
])  # fmt: skip
async def test_what_is_no_unicode_is_refused_by_name(
    minted: tuple[MintClient, tuple[str, ...], tuple[str, ...]], options: tuple[str, ...]
) -> None:
    _, _, where = minted
    said = await spawn("append", LIGHTHOUSE, *options, *where, stdin=b"\xff", MINTMARK_TOKEN=TOKEN)
    one_sentence(said, exits.ERROR)
    assert any(words in said.err for words in ("is not UTF-8", "can't decode byte 0xff", "surrogate")), said


@pytest.mark.parametrize("arguments", [
    ("checkpoint", BYTE), ("create", BYTE), ("watch", BYTE), ("append", BYTE, "x"), ("audit", BYTE),
    ("prove", "{name}", "--record", BYTE, "-o", "{dir}/p", "--entry-out", "{dir}/e", "--http", "http://127.0.0.1:1"),
    ("export", "{name}", "-o", "{dir}/" + BYTE), ("checkpoint", "{name}", "--token", BYTE), (BYTE,),
    ("verify", BYTE, "--entry", BYTE), ("verify", "{dir}", BYTE), ("checkpoint", "{name}", "--http", BYTE),
    ("checkpoint", "{name}", "--grpc", BYTE), ("checkpoint", "{name}", "--vkey", BYTE),
    ("keygen", BYTE, "-o", "{dir}"), ("keygen", "a/b", "-o", "{dir}/" + BYTE), ("status", "--config", BYTE),
])  # fmt: skip
async def test_bytes_that_are_no_unicode_anywhere_in_a_command(
    world: World, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    async with serve(world) as address:
        given = [each.format(name=world.origin, dir=tmp_path) for each in arguments]
        where = ["--grpc", address] if given[0] in ("checkpoint", "prove", "export") and "--grpc" not in given else []
        where += ["--vkey", world.signer.vkey] if where and "--vkey" not in given else []
        for as_json in ([], ["--json"]):
            said = await spawn(*given, *where, *as_json)
            assert said.code in (exits.OK, exits.ERROR, exits.USAGE, exits.NOT_YET), said
            assert "internal error" not in said.err + said.out
            assert "Traceback" not in said.err
            if as_json and said.code != exits.OK:
                json.loads(said.err)
