"""Exit 3 accuses a log, a source or a proof. A user's mistake and a server that is behind get another code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark import AsyncClient
from mintmark.cli import exits
from mintmark.sources.source import Announcement
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.note import COSIGNATURE, generate_skey
from tests.support.commands import Result, one_sentence, spawn
from tests.support.places import add_records, mirror, mirror_config, register
from tests.support.static import publish, published_log
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path


@pytest.fixture
def world() -> World:
    world = World()
    for size in (300, 200):
        world.append([b"entry %d" % index for index in range(world.size, world.size + size)])
    return world


async def ask(world: World, command: str, *arguments: object, key: object = "") -> Result:
    """A command on the log of a world, which is served."""
    async with serve(world) as address:
        where = ("--grpc", address, "--vkey", key or world.signer.vkey)
        return await spawn(command, world.origin, *arguments, *where)


POLICIES = {
    "no keyword": ("lag {key}\nquorum none\n", "line 1"),
    "no key": ("log nonsense\nquorum none\n", "line 1"),
    "no quorum": ("log {key}\n", "quorum"),
    "an unknown quorum": ("log {key}\nquorum m\n", "line 2"),
    "no newline": ("log {key}\nquorum none", "newline"),
    "CRLF": ("log {key}\r\nquorum none\r\n", "line 1 ends with CRLF"),
    "a cosigner as a log": ("log {cosigner}\nquorum none\n", "line 1"),
}


@pytest.mark.parametrize("fault", POLICIES)
async def test_a_policy_with_a_fault_accuses_nobody(world: World, tmp_path: Path, fault: str) -> None:
    text, said = POLICIES[fault]
    keys = {"key": world.signer.vkey, "cosigner": generate_skey("m.example", COSIGNATURE).vkey}
    policy, proof, entry = tmp_path / "policy", tmp_path / "p", tmp_path / "e"
    policy.write_bytes(text.format(**keys).encode())
    files = ("-o", proof, "--entry-out", entry)
    one_sentence(await ask(world, "prove", "--index", 1, *files, "--policy", policy), exits.ERROR, str(policy), said)
    assert (await ask(world, "prove", "--index", 1, *files)).code == exits.OK
    one_sentence(await spawn("verify", proof, "--entry", entry, "--policy", policy), exits.ERROR, str(policy), said)


async def test_a_policy_that_leaves_the_log_out(world: World, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"log {generate_skey('log.example/other').vkey}\nquorum none\n")
    options = ("--index", 1, "-o", tmp_path / "p", "--entry-out", tmp_path / "e", "--policy", policy)
    expected = f"the policy does not name {world.origin}; add the line: log {world.signer.vkey}"
    one_sentence(await ask(world, "prove", *options), exits.ERROR, expected)


KEY_FILES = ("{}\r\n", "{} \n", "{}\t\n", " {}\n", "{}\n\n", "\ufeff{}\n", "<html>{}</html>\n", "")


@pytest.mark.parametrize("form", KEY_FILES)
async def test_a_key_file_with_a_fault_accuses_nobody(world: World, tmp_path: Path, form: str) -> None:
    proof, entry = tmp_path / "p", tmp_path / "e"
    assert (await ask(world, "prove", "--index", 1, "-o", proof, "--entry-out", entry)).code == exits.OK
    key = tmp_path / "trust" / "things.vkey"
    key.parent.mkdir()
    key.write_text(form.format(world.signer.vkey), encoding="utf-8", newline="")
    expected = f"{key} is not a public key: "
    one_sentence(await ask(world, "checkpoint", key=key), exits.ERROR, expected)
    one_sentence(await spawn("verify", proof, "--entry", entry, "--vkey", key), exits.ERROR, expected)
    one_sentence(await spawn("verify", proof, "--entry", entry, "--trust", key.parent), exits.ERROR, expected)


async def test_a_file_that_cannot_be_read_accuses_nobody(world: World, tmp_path: Path) -> None:
    where = ("--vkey", tmp_path / "not here")
    for missing in ("proof", "entry", "policy"):
        files = {name: tmp_path / name for name in ("proof", "entry", "policy")}
        for name, file in files.items():
            file.write_text("here")
            if name == missing:
                file.unlink()
        said = await spawn("verify", files["proof"], "--entry", files["entry"], "--policy", files["policy"])
        assert (said.code, f"{files[missing]}" in said.err) == (exits.USAGE, True)
    one_sentence(await ask(world, "checkpoint", key=tmp_path / "not here"), exits.ERROR, "not here cannot be read")
    (tmp_path / "entry").touch()
    (tmp_path / "proof").write_text("no proof")
    one_sentence(
        await spawn("verify", tmp_path / "proof", "--entry", tmp_path / "entry", *where), exits.ERROR, "cannot be read"
    )
    (tmp_path / "d" / "things.vkey").mkdir(parents=True)
    said = await spawn("checkpoint", "things", "--grpc", "127.0.0.1:1", "--trust", tmp_path / "d")
    one_sentence(said, exits.ERROR, "things.vkey cannot be read: Is a directory")


async def test_an_audit_of_a_mirror_that_is_behind_accuses_nobody(world: World, tmp_path: Path) -> None:
    """The state is of the log: what one server showed is held against the others, once they are that far."""
    state, newest = tmp_path / "state", world.notes[-1]
    assert (await ask(world, "audit", "--state", state)).code == exits.OK
    world.notes.pop()
    said = await ask(world, "audit", "--state", state)
    one_sentence(said, exits.NOT_YET, "is behind: it shows 300 entries", "500 were signed by the last audit")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("state", newest)]
    fork = world.fork(250, [b"another %d" % index for index in range(400)])
    said = await ask(fork, "audit", "--state", state)
    assert (said.code, "are not shown to begin with the 500" in said.err) == (exits.LIED, True)


class Streams(World):
    """A log whose streams each show heads of these sizes, in turn."""

    streams: Sequence[Sequence[int]] = ()

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        shown, self.streams = self.streams[0], self.streams[1:] or self.streams
        for size in shown:
            yield Announcement(self.origin, self.notes[size - 1], self.kind)


async def test_a_stream_that_begins_anew_may_be_of_a_server_that_is_behind() -> None:
    log = Streams()
    for number in range(5):
        log.append([b"entry %d" % number])
    log.streams = [(3,), (1, 2, 4), (5, 4)]
    async with serve(log) as address, AsyncClient(address, log.signer.vkey) as client:
        heads = client.log("things").follow()
        assert [(await anext(heads)).size for _ in range(3)] == [3, 4, 5]
        with pytest.raises(Exception, match="went back from 5 entries to 4") as caught:  # within one stream
            await anext(heads)
    assert type(caught.value).__name__ == "Rollback"


async def check(document: str, world: World, tmp_path: Path) -> Result:
    """The check of what a command printed or wrote."""
    (tmp_path / "document").write_text(document)
    return await spawn("evidence", world.origin, "--check", tmp_path / "document", "--vkey", world.signer.vkey)


@pytest.mark.parametrize(("fork_at", "more"), [(440, 60), (499, 60), (450, 400)], ids=["same size", "edge", "larger"])
async def test_what_an_audit_writes_convicts_the_log(world: World, tmp_path: Path, fork_at: int, more: int) -> None:
    state = tmp_path / "state"
    assert (await ask(world, "audit", "--state", state)).code == exits.OK
    fork = world.fork(fork_at, [b"another %d" % index for index in range(more)])
    said = await ask(fork, "audit", "--state", state, "--json")
    assert said.code == exits.LIED
    (written,) = tmp_path.glob("state.evidence-*.json")
    checked = await check(written.read_text(), world, tmp_path)
    expected = "signed two trees of 500" if fork.size == 500 else f"signed a tree of {fork.size} entries that does not"
    assert (checked.code, expected in checked.out) == (exits.OK, True), checked
    checked = await check(said.err, world, tmp_path)  # without the proof, which only the server has
    if fork.size == 500:
        assert (checked.code, expected in checked.out) == (exits.OK, True), checked
    else:
        one_sentence(checked, exits.LIED, "two trees of different sizes, and not the proof that")


async def test_what_publish_and_a_mirror_keep_convicts_the_log(
    new_database: Callable[[str | None], str], tmp_path: Path
) -> None:
    world, other = register(count=500), register(count=500)
    other.signer = world.signer
    other.notes.clear()
    add_records(world, 200)
    add_records(other, 200, keys=7)
    one, two = new_database("read"), new_database("read")
    async with open_pool(one, 4) as ours, open_pool(two, 4) as theirs:
        await mirror(ReadStore(ours), world)
        await mirror(ReadStore(theirs), other)
        await publish(ReadStore(theirs), other, published_log(tmp_path / "web", other))
    config = mirror_config(tmp_path, one, ["127.0.0.1:1"], world)
    published = await spawn("publish", "thing", "--to", (tmp_path / "web").as_uri(), "--config", config, "--json")
    kept = await spawn("evidence", "thing", "--config", config, "--json")
    assert (published.code, kept.code) == (exits.LIED, exits.OK)
    for document in (published.out, kept.out, f'{{"name":"x","size":3}}\n{published.out}'):
        checked = await check(document, world, tmp_path)
        assert checked == (exits.OK, "world.example/thing signed two trees of 700 entries\n", "")


async def test_what_is_no_evidence_convicts_nobody(world: World, tmp_path: Path) -> None:
    notes = [sign_checkpoint(world.origin, 3, bytes([i]) * 32, [world.signer]).note.decode() for i in range(2)]
    convicting = {"error": "Fork", "notes": notes}
    for document in ({}, [], {"error": "x"}, {"error": {"type": "Fork"}}, {"evidence": []}, {"evidence": [{}]}):
        one_sentence(await check(json.dumps(document), world, tmp_path), exits.ERROR, "this is no evidence")
    one_sentence(await check("<html></html>", world, tmp_path), exits.ERROR, "this is no evidence")
    foreign = json.dumps({"origin": "log.example/other", **convicting})
    one_sentence(await check(foreign, world, tmp_path), exits.ERROR, "it is of log.example/other, not of")
    assert (await check(json.dumps(convicting), world, tmp_path)).code == exits.OK
    stranger = World(signer=generate_skey(world.origin))
    assert (await check(json.dumps(convicting), stranger, tmp_path)).code == exits.LIED
