"""Input that can be read once: pipes, by `<(…)`, by a fifo, on stdin. It is read once, or refused by what to do."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.files import rereadable
from mintmark.register.rsf import write_rsf
from tests.support.commands import one_sentence, shell, spawn
from tests.support.lighthouse import ROWS
from tests.support.lights import DEFINED, define, light, lights
from tests.support.mint_site import LIGHTHOUSE, TOKEN, Site, create, stored
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from mintmark.client.mint_client import MintClient
    from tests.support.commands import Result

KEYS = ("PP1", "PP2", "PP3")
JSONL = b"".join(light(key) + b"\n" for key in KEYS)
CSV = b"lighthouse,name\n" + b"".join(b"%b,The %b\n" % (key.encode(), key.encode()) for key in KEYS)
TABLES = {"jsonl": JSONL, "csv": CSV, "tsv": CSV.replace(b",", b"\t")}


@asynccontextmanager
async def defined(site: Site) -> AsyncIterator[tuple[MintClient, tuple[str, ...]]]:
    """A mint with a register, and the options that name it."""
    async with site.running() as client:
        await create(client)
        await define(client)
        yield client, ("--grpc", client.address, "--vkey", site.signers[LIGHTHOUSE].vkey, "--json")


async def check_appended(said: Result, client: MintClient) -> None:
    assert said.code == exits.OK, said
    assert (json.loads(said.out)["appended"], json.loads(said.out)["present"]) == (3, 0)
    assert (await stored(client, LIGHTHOUSE))[1][DEFINED:] == [light(key) for key in KEYS]


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
@pytest.mark.parametrize("format_", TABLES)
async def test_a_table_on_stdin_is_appended(site: Site, format_: str, path: str) -> None:
    async with defined(site) as (client, where):
        command = ("import", LIGHTHOUSE, path, "--format", format_, *where)
        await check_appended(await spawn(*command, stdin=TABLES[format_], MINTMARK_TOKEN=TOKEN), client)
        again = await spawn(*command, stdin=TABLES[format_], MINTMARK_TOKEN=TOKEN)
        assert (json.loads(again.out)["appended"], json.loads(again.out)["present"]) == (0, 3)


@pytest.mark.parametrize("line", ["cat {file} | @ /dev/stdin {where}", "@ <(cat {file}) {where}"])
async def test_a_table_from_a_pipe_of_a_shell(site: Site, tmp_path: Path, line: str) -> None:
    (tmp_path / "table").write_bytes(JSONL)
    async with defined(site) as (client, where):
        line = line.format(file=tmp_path / "table", where=shlex.join(["--format", "jsonl", *where]))
        await check_appended(await shell(line, "import", LIGHTHOUSE, MINTMARK_TOKEN=TOKEN), client)


async def test_a_table_from_a_fifo(site: Site, tmp_path: Path) -> None:
    fifo = tmp_path / "table.csv"
    os.mkfifo(fifo)
    async with defined(site) as (client, where):
        writing = asyncio.create_task(asyncio.to_thread(fifo.write_bytes, CSV))
        await check_appended(await spawn("import", LIGHTHOUSE, fifo, *where, MINTMARK_TOKEN=TOKEN), client)
        await writing


async def test_an_rsf_file_from_a_pipe(site: Site) -> None:
    rows = [*ROWS[:DEFINED], *lights(0, 3)]
    async with defined(site) as (_, where):
        command = ("import", LIGHTHOUSE, "-", "--format", "rsf", *where)
        said = await spawn(*command, stdin=b"".join(write_rsf(rows)), MINTMARK_TOKEN=TOKEN)
    assert (json.loads(said.out)["appended"], json.loads(said.out)["present"]) == (3, DEFINED), said


def test_a_file_that_was_read_in_part_is_read_from_there(tmp_path: Path) -> None:
    """As in `(read HEADER; mintmark import …) < FILE`: both readings begin there."""
    file = tmp_path / "file"
    file.write_bytes(b"header\nrest")
    script = "import os, pathlib, mintmark.files as f\nos.lseek(0, 7, 0)\n"
    script += "with f.rereadable(pathlib.Path('-')) as s:\n a = s.read(); s.seek(0); assert a == s.read() == b'rest'"
    with file.open("rb") as stdin:
        assert _python(script, stdin.fileno()) == 0


def test_stdin_may_be_a_socket() -> None:
    """As some programs give it to their children; it has no path that can be opened."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"sent")
        ours.shutdown(socket.SHUT_WR)
        script = "import pathlib, mintmark.files as f\n"
        script += "with f.rereadable(pathlib.Path('/dev/stdin')) as s:\n assert s.read() == b'sent'; s.seek(1); "
        assert _python(script + "assert s.read() == b'ent'", theirs.fileno()) == 0


def _python(script: str, stdin: int) -> int:
    return subprocess.run([sys.executable, "-c", script], stdin=stdin, check=False).returncode


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with rereadable(tmp_path / "file") as stream:
        assert stream.read() == b"content"
        stream.seek(0)
        assert stream.read() == b"content"


@pytest.fixture
def world() -> World:
    world = World()
    world.append([b"entry %d" % index for index in range(300)])
    return world


async def proven(world: World, tmp_path: Path) -> Sequence[object]:
    """A proof, its entry, a policy and a key in files; the arguments that name the first two."""
    (tmp_path / "policy").write_text(f"log {world.signer.vkey}\nquorum none\n")
    (tmp_path / "key").write_text(f"{world.signer.vkey}\n")
    async with serve(world) as address:
        where = ("--grpc", address, "--vkey", world.signer.vkey, "-o", tmp_path / "p", "--entry-out", tmp_path / "e")
        assert (await spawn("prove", world.origin, "--index", 3, *where)).code == exits.OK
    return ("verify", tmp_path / "p", "--entry", tmp_path / "e")


@pytest.mark.parametrize("option", ["--policy <(cat policy)", "--vkey <(cat key)"])
async def test_a_proof_is_verified_by_what_comes_through_a_pipe(world: World, tmp_path: Path, option: str) -> None:
    line = f"cd {shlex.quote(str(tmp_path))} && @ {option}"
    said = await shell(line, *await proven(world, tmp_path))
    assert said.code == exits.OK, said
    line = f"cd {shlex.quote(str(tmp_path))} && @ verify <(cat p) --entry <(cat e) {option}"
    assert (await shell(line)).code == exits.OK


@pytest.mark.parametrize(
    "command", ["checkpoint", "entries", "audit --state state", "prove --index 3 -o p --entry-out e"]
)
async def test_a_log_is_read_by_a_key_that_comes_through_a_pipe(world: World, tmp_path: Path, command: str) -> None:
    (tmp_path / "key").write_text(f"{world.signer.vkey}\n")
    (tmp_path / "policy").write_text(f"log {world.signer.vkey}\nquorum none\n")
    name, *options = command.split()
    policy = " --policy <(cat policy)" if name == "prove" else ""
    async with serve(world) as address:
        line = f"cd {shlex.quote(str(tmp_path))} && @ --vkey <(cat key){policy}"
        said = await shell(line, name, world.origin, *options, "--grpc", address)
    assert said.code == exits.OK, said


async def test_a_configuration_in_a_pipe_is_refused_by_what_to_do(tmp_path: Path) -> None:
    """It is read again when it changes."""
    fifo = tmp_path / "mintmark.toml"
    os.mkfifo(fifo)
    for command in (("mirror",), ("mirror", "--once"), ("status",), ("fsck",), ("catch-up", "x", "--from", "x:1")):
        said = await spawn(*command, "--config", fifo)
        one_sentence(said, exits.ERROR, f"{fifo} is a pipe, and is read more than once; save it in a file")


async def test_tokens_in_a_pipe_are_refused_by_what_to_do(mint_db: str, tmp_path: Path) -> None:
    fifo = tmp_path / "tokens.toml"
    os.mkfifo(fifo)
    settings = {"DATABASE": mint_db, "LISTEN": "127.0.0.1:0", "KEYS": str(tmp_path), "TOKENS": str(fifo)}
    said = await spawn("mint", **{f"MINTMARK_MINT__{key}": value for key, value in settings.items()})
    one_sentence(said, exits.ERROR, f"{fifo} is a pipe, and is read more than once; save it in a file")


async def test_an_up_takes_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.rsf")
    for files in (("--register", tmp_path / "x.rsf"), ("--no-samples", tmp_path / "x.rsf")):
        said = await spawn("up", "--dir", tmp_path / "up", *files)
        assert said.code == exits.USAGE
        assert "x.rsf is not a file" in said.err
