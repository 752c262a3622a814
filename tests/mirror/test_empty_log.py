"""A log without an entry is there: 0 of 0, exit 0, wherever it comes from and whatever is asked of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark.api.server import opened
from mintmark.cli import exits
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import generate_skey
from tests.support.commands import spawn
from tests.support.mint_site import LIGHTHOUSE, THINGS, Site, create
from tests.support.places import add_records, mirror_config, register, run_once
from tests.support.read_api import connect
from tests.support.static import serving
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.formats import LogKind


def empty(kind: LogKind) -> World:
    """A world's log without an entry."""
    origin = "world.example/thing"
    world = World(origin, kind, generate_skey(origin))
    world.notes.append(sign_checkpoint(origin, 0, EMPTY_ROOT, [world.signer]).note)
    return world


async def once(config: Path) -> tuple[int, str]:
    """One run of a mirror: its exit code, and what it printed."""
    said = await spawn("mirror", "--once", "--config", config)
    assert said.err == "", said
    return said.code, said.out


PATHS = (
    *("", "/log/checkpoint", "/register.json", "/entries.json", "/records.json", "/download-register"),
    *("/download-rsf", "/download-rsf/0", "/download-records.csv"),
)
DONE = (exits.OK, "world.example/thing: 0 of 0\n")


@pytest.mark.parametrize("kind", ["opaque", "register"])
async def test_over_grpc(read_db: str, tmp_path: Path, kind: LogKind) -> None:
    world = empty(kind)
    async with serve(world) as address:
        config = mirror_config(tmp_path, read_db, [address], world)
        assert await once(config) == DONE
        assert await once(config) == DONE
    async with open_pool(read_db, 1) as pool:
        (status,) = await ReadStore(pool).status.of_logs()
        assert (status.head, status.size, status.error) == (0, 0, None)
        assert (await ReadStore(pool).head(1)).note == world.notes[0]


@pytest.mark.parametrize("kind", ["opaque", "register"])
async def test_published_mirrored_and_grown(
    new_database: Callable[[str | None], str], tmp_path: Path, kind: LogKind
) -> None:
    world = register(count=0) if kind == "register" else empty(kind)
    world.notes = [sign_checkpoint(world.origin, 0, EMPTY_ROOT, [world.signer]).note]
    first, second = new_database("read"), new_database("read")
    web, config = tmp_path / "web", tmp_path / "first"
    config.mkdir()
    async with serve(world) as address:
        config = mirror_config(config, first, [address], world)
        assert await once(config) == DONE
        said = await spawn("publish", "thing", "--to", web.as_uri(), "--config", config)
        assert (said.code, said.err) == (exits.OK, ""), said
        assert said.out.startswith("world.example/thing: 0 entries")
        with serving(web) as server:
            other = mirror_config(tmp_path, second, [f"{server.url}thing/log/"], world)
            assert await once(other) == DONE
            if kind == "register":
                add_records(world, 300)
            else:
                world.append([b"entry %d" % number for number in range(300)])
            assert await once(config) == (exits.OK, "world.example/thing: 300 of 300\n")
            assert (await spawn("publish", "thing", "--to", web.as_uri(), "--config", config)).code == exits.OK
            assert await once(other) == (exits.OK, "world.example/thing: 300 of 300\n")
    async with open_pool(second, 1) as pool:
        (log,) = await ReadStore(pool).logs()
        assert log.kind == kind


async def test_a_source_that_has_no_entry_yet_does_not_say_of_which_kind_the_log_is(read_store: ReadStore) -> None:
    world = register(count=300)
    old = empty("opaque")
    old.signer, old.notes = world.signer, [sign_checkpoint(world.origin, 0, EMPTY_ROOT, [world.signer]).note]
    done = await run_once(read_store, [old, world], world)
    assert (done.size, done.target, done.error) == (300, 300, None)


@pytest.mark.parametrize("origin", [THINGS, LIGHTHOUSE])
async def test_read_from_a_mint(site: Site, tmp_path: Path, origin: str) -> None:
    async with site.running() as client:
        await create(client)
        where = ("--grpc", client.address, "--vkey", site.signers[origin].vkey)
        said = await spawn("checkpoint", origin, *where, "--json")
        assert (said.code, json.loads(said.out)["size"]) == (exits.OK, 0)
        for options in ((), ("--full",), ("--second-opinion",)):
            said = await spawn("audit", origin, *where, *options, "--state", tmp_path / "state")
            assert (said.code, f"{origin}: size 0" in said.out) == (exits.OK, True), said
        said = await spawn("entries", origin, *where)
        assert said == (exits.OK, "", "")
        for format_ in ("jsonl", "csv", "tsv"):
            said = await spawn("export", origin, *where, "--format", format_, "-o", tmp_path / "out")
            assert (said.code, said.err, (tmp_path / "out").read_bytes()) == (exits.OK, "", b""), said
        assert (await spawn("export", origin, *where, "--format", "rsf")).code == exits.OK


async def test_downloaded_from_the_read_api(read_db: str, tmp_path: Path) -> None:
    world = empty("register")
    async with serve(world) as address:
        assert await once(mirror_config(tmp_path, read_db, [address], world)) == DONE
    async with opened(read_db, {}) as app, connect(app) as client:
        for path in PATHS:
            assert (await client.get(f"/thing{path}")).status_code == 200, path
