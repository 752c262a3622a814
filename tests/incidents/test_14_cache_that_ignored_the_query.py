"""Incident 14: a cache ignored the query string (TrustAsia, 2026).

A caching proxy that returns stale or foreign bodies: one retry past the cache, then a named error. Nothing that it says
is believed.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from mintmark.mirror.run_once import once
from mintmark.tlog.proof_file import parse_proof
from tests.support.commands import Result, spawn
from tests.support.places import LiveWorld, add_records, mirror, register, rows, run_once, worker
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mintmark.store.mirror.read_store import ReadStore


KEYS = 50


class Cache:
    """A proxy before a read API: what it holds goes out, whatever was asked, unless the client wants it fresh."""

    def __init__(self, held: tuple[str, int, int], fresh: tuple[str, int, int]) -> None:
        self.held, self.fresh = held, fresh  # (key, index, size) of the record in the body
        self.asked: list[bool] = []  # of each request, whether it was to go past the cache

    @contextmanager
    def up(self) -> Iterator[str]:
        cache = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                past = self.headers.get("Cache-Control") == "no-cache"
                cache.asked.append(past)
                key, index, size = cache.fresh if past else cache.held
                body = json.dumps({key: {"index": index}}).encode()
                self.send_response(200)
                self.send_header("Mintmark-Size", str(size))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


async def prove(world: World, cache: Cache, directory: Path) -> Result:
    """`mintmark prove --record 7` through the cache; the proof is in the directory."""
    async with serve(world) as address:
        with cache.up() as http:
            return await spawn(
                *("prove", "thing", "--record", "7", "-o", directory / "proof", "--entry-out", directory / "entry"),
                *("--grpc", address, "--http", http, "--vkey", world.signer.vkey),
            )


def thing() -> LiveWorld:
    """Entries of fifty keys, of which the last of key 7 is at 257, and then 400 of another."""
    world = register(count=6 * KEYS)
    add_records(world, 400, keys=1)
    return world


@pytest.mark.parametrize("old", [57, 207])
async def test_a_stale_body_costs_nothing_but_a_look_at_what_came_since(tmp_path: Path, old: int) -> None:
    cache = Cache(("7", old, old + 1), ("7", 257, 700))
    result = await prove(thing(), cache, tmp_path)
    assert result.code == 0, result.err
    assert parse_proof((tmp_path / "proof").read_bytes()).index == 257
    assert cache.asked == [False]


@pytest.mark.parametrize("foreign", [("8", 258, 700), ("7", 258, 700), ("nothing", 0, 0)], ids=["key", "index", "page"])
async def test_a_foreign_body_is_asked_for_again_past_the_cache(tmp_path: Path, foreign: tuple[str, int, int]) -> None:
    cache = Cache(foreign, ("7", 257, 700))
    result = await prove(thing(), cache, tmp_path)
    assert result.code == 0, result.err
    assert parse_proof((tmp_path / "proof").read_bytes()).index == 257
    assert cache.asked == [False, True]


@pytest.mark.parametrize("foreign", [("8", 258, 700), ("7", 258, 700)], ids=["key", "index"])
async def test_one_that_is_foreign_twice_is_a_named_error(tmp_path: Path, foreign: tuple[str, int, int]) -> None:
    cache = Cache(foreign, foreign)
    result = await prove(thing(), cache, tmp_path)
    assert result.code in (3, 4)
    assert "another record" in result.err or "not a mintmark read API" in result.err
    assert "Traceback" not in result.err
    assert cache.asked == [False, True]
    assert not (tmp_path / "proof").exists()


class Cached(LiveWorld):
    """A source behind a cache that answers with a head, or with entries, of long ago or of another log."""

    stale: bytes = b""

    async def checkpoint(self, origin: str) -> bytes:
        return self.stale


async def test_a_mirror_takes_a_stale_head_for_what_it_is(read_store: ReadStore) -> None:
    world = Cached()
    world.append([os.urandom(20) for _ in range(300)])
    await mirror(read_store, world)
    world.append([os.urandom(20) for _ in range(300)])
    await mirror(read_store, world)
    world.stale = world.notes[0]
    before = await rows(read_store, "head", "bundle", "tile", "entry", "checkpoint", "evidence")
    (reached,) = await once(worker(read_store, [world], world), 2)
    assert (reached.done, reached.lied) == (True, False)
    assert await rows(read_store, "head", "bundle", "tile", "entry", "checkpoint", "evidence") == before


async def test_a_mirror_refuses_the_head_of_another_log(
    read_store: ReadStore, check_log: Callable[..., object]
) -> None:
    world, other = Cached(), register("world.example/other")
    world.append([os.urandom(20) for _ in range(300)])
    await mirror(read_store, world)
    world.append([os.urandom(20) for _ in range(300)])
    world.stale = other.notes[0]
    reached = await run_once(read_store, [world], world, 2)
    assert not reached.done
    assert await check_log(read_store.pool.conninfo, world.origin, world.verifiers) == 300
