"""What a web server or a cache answers in a file's place is its own word: asked again, past caches, and no lie."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.mirror.test_worker import same_log
from tests.publish.test_publish import opaque
from tests.sources.test_tiles import source, store, write
from tests.support.commands import spawn
from tests.support.oracle import check_log
from tests.support.places import LiveWorld, mirror_config, register, run_once
from tests.support.static import Answer, StaticServer, serving
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.world import World

HTML = b"<!doctype html><html><head><title>Just a moment</title></head></html>\n"
FILES = [
    "checkpoint",
    "tile/1/000.p/2",
    "tile/entries/000",
    "tile/entries/001",
    "tile/items/001",
    "tile/items/002.p/88",
]
JUNK: dict[str, Callable[[bytes], bytes]] = {
    "html": lambda _: HTML,
    "empty": lambda _: b"",
    "cut": lambda data: data[:-40],
    "long": lambda data: data + b"\0\0",
}


def published(directory: Path) -> World:
    """The files of a register of 600 entries, of three bundles."""
    world = register(count=600)
    write(directory, world)
    return world


def instead(server: StaticServer, directory: Path, file: str, spoil: Callable[[bytes], bytes], how: str) -> None:
    """Has the server answer something else for a file: once, where caches may answer, or always."""
    spoilt = spoil((directory / "thing/log" / file).read_bytes())
    asked: list[str] = []

    def behave(path: str) -> Answer | None:
        if path != f"/thing/log/{file}":
            return None
        asked.append(path)
        fresh = {"once": len(asked) > 1, "cached": len(server.past_caches) > 0, "always": False}[how]
        return None if fresh else Answer(200, spoilt)

    server.behave = behave


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["once", "cached"])
async def test_junk_is_asked_for_again_past_caches(
    new_database: Callable[[str], str], tmp_path: Path, file: str, junk: str, how: str
) -> None:
    world = published(tmp_path)
    with serving(tmp_path) as server:
        instead(server, tmp_path, file, JUNK[junk], how)
        async with source(server) as static, store(new_database("read")) as second:
            reached = await run_once(second, [static], world, 20)
            assert (reached.done, reached.lied, reached.error) == (True, False, None)
            assert await second.evidence.of_log(1) == []
            assert await check_log(second.pool.conninfo, world.origin, world.verifiers) == 600
    assert set(server.past_caches) == {f"/thing/log/{file}"}


@pytest.mark.parametrize("junk", ["html", "empty", "cut"])
@pytest.mark.parametrize("file", ["tile/entries/001", "tile/items/001"])
async def test_junk_that_stays_is_unavailable_and_the_log_goes_on_by_itself(
    new_database: Callable[[str], str], tmp_path: Path, file: str, junk: str
) -> None:
    world = published(tmp_path)
    with serving(tmp_path) as server:
        instead(server, tmp_path, file, JUNK[junk], "always")
        async with source(server) as static, store(new_database("read")) as second:
            reached = await run_once(second, [static], world, 1)
            assert (reached.done, reached.lied, reached.stopped) == (False, False, False)
            assert file in (reached.error or "")
            assert await second.evidence.of_log(1) == []
            other = same_log(LiveWorld, world, "other:1")
            assert (await run_once(second, [static, other], world, 20)).done
        async with source(server) as static, store(new_database("read")) as third:
            assert not (await run_once(third, [static], world, 1)).done
            server.behave = None
            assert (await run_once(third, [static], world, 20)).done


async def test_the_command_ends_with_4_and_then_with_0(new_database: Callable[[str], str], tmp_path: Path) -> None:
    world, database = published(tmp_path), new_database("read")
    with serving(tmp_path) as server:
        config = mirror_config(tmp_path, database, [f"{server.url}thing/log"], world)
        instead(server, tmp_path, "tile/entries/001", JUNK["html"], "always")
        ended = await spawn("mirror", "--once", "--deadline", "1", "--json", "--config", config)
        assert (ended.code, json.loads(ended.out)["done"]) == (4, False)
        server.behave = None
        assert (await spawn("mirror", "--once", "--config", config)).code == 0


@pytest.mark.parametrize("file", ["checkpoint", "tile/entries/001", "tile/items/001", "tile/1/000.p/2"])
async def test_a_well_formed_lie_of_a_cache_is_no_contradiction(
    new_database: Callable[[str], str], tmp_path: Path, file: str
) -> None:
    world = published(tmp_path)
    with serving(tmp_path) as server:
        instead(server, tmp_path, file, spoilt, "cached")
        async with source(server) as static, store(new_database("read")) as second:
            reached = await run_once(second, [static], world, 20)
            assert (reached.done, reached.lied, reached.error) == (True, False, None)
            assert await second.evidence.of_log(1) == []
            assert not static.past_caches


@pytest.mark.parametrize(("file", "kind"), {"checkpoint": "BadSignature", "tile/entries/001": "ProofError"}.items())
async def test_a_well_formed_lie_that_stays_is_one(
    new_database: Callable[[str], str], tmp_path: Path, file: str, kind: str
) -> None:
    world = published(tmp_path)
    with serving(tmp_path) as server:
        instead(server, tmp_path, file, spoilt, "always")
        async with source(server) as static, store(new_database("read")) as second:
            reached = await run_once(second, [static], world, 20)
            assert (reached.done, reached.lied, reached.stopped) == (False, True, True)
            assert [kept.kind for kept in await second.evidence.of_log(1)] == [kind]
    assert f"/thing/log/{file}" in server.past_caches


def spoilt(data: bytes) -> bytes:
    """The same file with other bytes where no grammar looks at them."""
    return data.replace(data.split(b"\n")[2][:8], b"AAAAAAAA") if data.startswith(b"world") else flip(data, 12)


async def test_a_host_with_a_page_for_every_path_makes_no_register_of_a_log(
    new_database: Callable[[str], str], tmp_path: Path
) -> None:
    world = opaque(600)
    write(tmp_path, world)
    with serving(tmp_path) as server:
        server.behave = lambda path: None if (tmp_path / path[1:]).is_file() else Answer(200, HTML)
        async with source(server) as static, store(new_database("read")) as second:
            assert [log.kind for log in await static.logs()] == ["opaque"]
            assert (await run_once(second, [static], world, 20)).done


async def test_the_items_of_a_register_that_are_a_page_make_no_other_log_of_it(tmp_path: Path) -> None:
    from mintmark.errors import Unavailable

    published(tmp_path)
    with serving(tmp_path) as server:
        instead(server, tmp_path, "tile/items/000", JUNK["html"], "always")
        async with source(server) as static:
            with pytest.raises(Unavailable, match=r"tile/items/000 is something else, past caches too"):
                await static.logs()
            server.behave = None
            assert [log.kind for log in await static.logs()] == ["register"]
