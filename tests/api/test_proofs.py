"""The proof beside every answer: what the API sends leads to the signed root, checked by the core and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mintmark import verify
from mintmark.register.item import parse_hash
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, leaf_hash, leaf_hashes
from mintmark.tlog.merkle import check_consistency, check_inclusion
from mintmark.tlog.proof_file import check_proof_file, parse_proof
from tests.api.conftest import connect, mirror, opened, world
from tests.support import evolving
from tests.support.proofs import proof_file, proves_inclusion
from tests.support.published_facts import NAMES, facts
from tests.support.world import World

if TYPE_CHECKING:
    import httpx

session = pytest.mark.asyncio(loop_scope="session")


def leaf_of(entry: dict[str, Any]) -> bytes:
    """The bytes in the log of an entry as the API says it: canonical JSON, written here by hand."""
    said = {"key": entry["key"], "timestamp": entry["entry-timestamp"], "type": entry.get("type", "user")}
    said |= dict(zip(["item-hash"], entry["item-hash"], strict=False))  # none ends a record
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def check_file(client: httpx.AsyncClient, path: str, entry: dict[str, Any], log: World) -> int:
    """Checks that the proof at a path is of this entry; returns the size that was signed."""
    answer = await client.get(f"{path}.proof")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
    proof = parse_proof(answer.content)
    assert proof.index == entry["index"]
    head = check_proof_file(proof, leaf_hash(leaf_of(entry)), log.origin, log.verifiers)
    assert answer.headers["mintmark-proof-size"] == str(head.size)
    proven = verify(answer.content, keys=log.signer.vkey)  # the file alone
    assert (proven.entry, proven.item) == (leaf_of(entry), log.items[proof.index] or None)
    assert proves_inclusion(answer.content, leaf_of(entry))
    return head.size


@session
@pytest.mark.parametrize("name", NAMES)
async def test_entries_and_records_of_published_registers(
    client: httpx.AsyncClient, name: str, published: dict[str, World]
) -> None:
    known, log = facts(name), published[name]
    for said in known.user[:: len(known.user) // 4 or 1]:
        (entry,) = (await client.get(f"/{name}/entries/{said.number}?full=1")).json()
        assert await check_file(client, f"/{name}/entries/{said.number}", entry, log) == log.size
        assert await check_file(client, f"/{name}/log/entries/{said.index}", entry, log) == log.size
    for index in (0, 5):
        (entry,) = (await client.get(f"/{name}/log/entries/{index}")).json()
        assert entry["type"] == "system"
        await check_file(client, f"/{name}/log/entries/{index}", entry, log)
    for key in list(known.latest)[:: len(known.latest) // 2 or 1]:
        (entry,) = (await client.get(f"/{name}/entries/{known.latest[key].number}?full=1")).json()
        await check_file(client, f"/{name}/records/{key}", entry, log)


@session
@pytest.mark.parametrize("name", NAMES)
async def test_the_checkpoint_is_the_root_that_answers_name(
    client: httpx.AsyncClient, name: str, published: dict[str, World]
) -> None:
    log = published[name]
    answer = await client.get(f"/{name}/log/checkpoint")
    head = open_checkpoint(answer.content, log.origin, log.verifiers)
    assert answer.content == log.notes[-1]
    for path in (f"/{name}", f"/{name}/records", f"/{name}/entries/1", f"/{name}/download-rsf"):
        about = (await client.get(path)).headers
        assert (about["mintmark-origin"], int(about["mintmark-size"])) == (log.origin, head.size)
        assert parse_hash(about["mintmark-root"]) == head.root
    edges = Edge().extend(leaf_hashes(bundle.join(log.entries_[: head.size // 2])))[0]
    past = (await client.get(f"/{name}?at={head.size // 2}")).headers
    assert parse_hash(past["mintmark-root"]) == edges.root()


@session
async def test_tiles_and_bundles_are_the_log(client: httpx.AsyncClient, published: dict[str, World]) -> None:
    log = published["jobcentre"]
    assert log.size > 512
    width = log.size % 256
    for path, entries in {
        "000": log.entries_[:256], "001": log.entries_[256:512], f"003.p/{width}": log.entries_[768:],
        "003.p/1": log.entries_[768:769], "000.p/7": log.entries_[:7],
    }.items():  # fmt: skip
        answer = await client.get(f"/jobcentre/log/tile/entries/{path}")
        assert bundle.cut(answer.content) == entries
        hashes = (await client.get(f"/jobcentre/log/tile/0/{path}")).content
        assert hashes == leaf_hashes(bundle.join(entries))
        assert answer.headers["content-type"] == "application/octet-stream"
    roots = (await client.get("/jobcentre/log/tile/1/000.p/3")).content
    assert len(roots) == 3 * HASH_BYTES
    for path in ("004", "003", f"003.p/{width + 1}", "1/000", "00", "x", "entries/004", "0/../0/000", "0/000.p/0"):
        assert (await client.get(f"/jobcentre/log/tile/0/{path}")).status_code == 404, path


@session
@pytest.mark.parametrize("name", ["country", "jobcentre", "field"])
async def test_v1_proofs_lead_to_v1_roots(client: httpx.AsyncClient, name: str, published: object) -> None:
    known, most = facts(name), len(facts(name).user)
    sizes = sorted({1, 2, 3, most // 2, most - 1, most})
    roots = {}
    for size in sizes:
        at = known.user[size - 1].index + 1
        proof = (await client.get(f"/{name}/proof/register/merkle:sha-256?at={at}")).json()
        assert proof["total-entries"] == size
        roots[size] = parse_hash(proof["root-hash"])
        for number in sorted({1, size // 2 or 1, size}):
            answer = await client.get(f"/{name}/proof/entries/{number}/{size}/merkle:sha-256")
            path = [parse_hash(digest) for digest in answer.json()["merkle-audit-path"]]
            leaf = json.dumps(known.user[number - 1].v1, separators=(",", ":"), ensure_ascii=False).encode()
            check_inclusion(number - 1, size, leaf_hash(leaf), path, roots[size])
    for old in sizes:
        for size in (size for size in sizes if size >= old):
            answer = await client.get(f"/{name}/proof/consistency/{old}/{size}/merkle:sha-256")
            nodes = [parse_hash(digest) for digest in answer.json()["merkle-consistency-nodes"]]
            check_consistency(old, roots[old], size, roots[size], nodes)


@session
async def test_the_file_is_the_one_that_the_command_line_writes(
    client: httpx.AsyncClient, published: dict[str, World]
) -> None:
    log = published["country"]
    for index in (0, 9, log.size - 1):
        answer = await client.get(f"/country/log/entries/{index}.proof")
        assert answer.content == proof_file(log, index)


async def test_a_proof_has_the_smallest_signed_head_that_covers_it(read_db: str) -> None:
    rows, log = evolving.rows(), world("room")
    heads = [40, 41, 150, 300]
    for start, end in zip([0, *heads], heads, strict=False):
        part = world("room", rows[start:end])
        log.append(part.entries_, part.items)
        await mirror(read_db, log)
    async with opened(read_db, {}) as app, connect(app) as client:
        for at, signed in {"10": 40, "40": 40, "41": 41, "42": 150, "300": 300}.items():
            key = sorted(evolving.state(rows, int(at)))[0]
            (entry,) = (await client.get(f"/room/records/{key}/entries?at={at}")).json()[-1:]
            answer = await client.get(f"/room/records/{key}.proof?at={at}")
            assert int(answer.headers["mintmark-proof-size"]) == signed
            head = check_proof_file(parse_proof(answer.content), leaf_hash(leaf_of(entry)), log.origin, log.verifiers)
            assert head.size == signed
        tombstone = next(i for i, (entry, _) in enumerate(rows) if entry.item_hash is None)
        (entry,) = (await client.get(f"/room/log/entries/{tombstone}")).json()
        assert entry["item-hash"] == []
        await check_file(client, f"/room/log/entries/{tombstone}", entry, log)


async def test_a_log_of_another_kind_is_served_as_a_log(read_db: str) -> None:
    log = World("registers.test/blobs", "opaque", world("blobs").signer)
    log.append([b"one", b"\xff\x00", b""])
    from mintmark.mirror.catch_up import CatchUp
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mirror.read_store import ReadStore

    async with open_pool(read_db, 2) as pool:
        assert await CatchUp(ReadStore(pool), log.origin, log.verifiers).step(log, log.notes[-1], "opaque")
    async with opened(read_db, {}) as app, connect(app) as client:
        note = (await client.get("/blobs/log/checkpoint")).content
        assert open_checkpoint(note, log.origin, log.verifiers).size == 3
        assert bundle.cut((await client.get("/blobs/log/tile/entries/000.p/3")).content) == log.entries_
        for path in ("/blobs", "/blobs/records", "/blobs/log/entries", "/blobs/download-rsf"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "is no register" in answer.json()["detail"]
        assert (await client.get("/")).json() == []
