"""Proxies in the environment: never for this machine, and named where they are in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.sources.http_client import is_local, name_proxy
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.commands import one_sentence, spawn
from tests.support.places import mirror, mirror_config, register
from tests.support.static import publish, published_log, serving
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROXY = "http://user:secret@127.0.0.1:1"  # where nothing listens
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
ALL = dict.fromkeys(VARIABLES, PROXY)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_server_of_this_machine_is_asked_directly(host: str, variable: str) -> None:
    world = World()
    world.append([b"one"])
    async with serve(world) as address:
        where = ("--grpc", address.replace("127.0.0.1", host), "--vkey", world.signer.vkey)
        said = await spawn("checkpoint", world.origin, *where, **{variable: PROXY})
    assert said.code == exits.OK, said


async def test_files_of_this_machine_are_read_directly(
    new_database: Callable[[str | None], str], tmp_path: Path
) -> None:
    world = register(count=300)
    async with open_pool(new_database("read"), 2) as pool:
        await mirror(ReadStore(pool), world)
        await publish(ReadStore(pool), world, published_log(tmp_path / "web", world))
    with serving(tmp_path / "web") as web:
        config = mirror_config(tmp_path, new_database("read"), [f"{web.url}thing/log/"], world)
        said = await spawn("mirror", "--once", "--config", config, **ALL)
    assert (said.code, "300 of 300" in said.out) == (exits.OK, True), said


async def test_a_proxy_that_is_in_the_way_is_named() -> None:
    world = World()
    where = ("--grpc", "mint.invalid:7070", "--vkey", world.signer.vkey)
    said = await spawn("checkpoint", world.origin, *where, https_proxy=PROXY)
    expected = "mint.invalid:7070 cannot be reached (through the proxy 127.0.0.1:1, which https_proxy names"
    one_sentence(said, exits.NOT_YET, expected)
    assert "secret" not in said.err
    said = await spawn("checkpoint", world.origin, *where, https_proxy=PROXY, no_proxy="mint.invalid")
    one_sentence(said, exits.NOT_YET, "mint.invalid:7070 cannot be reached: ")


async def test_a_proxy_before_a_mirror_s_files_is_named(read_db: str, tmp_path: Path) -> None:
    config = mirror_config(tmp_path, read_db, ["http://files.invalid/thing/"], register(count=1))
    said = await spawn("mirror", "--once", "--config", config, **ALL)
    assert said.code == exits.NOT_YET
    assert "(through the proxy 127.0.0.1:1, which http_proxy names in the environment)" in said.err
    assert "secret" not in said.err


@pytest.mark.parametrize(("address", "local"), [
    ("127.0.0.1:7070", True), ("127.9.9.9:1", True), ("[::1]:7070", True), ("localhost:7070", True),
    ("LOCALHOST:7070", True), ("mint.localhost:1", True), ("unix:/run/mint", True), ("unix-abstract:mint", True),
    ("http://127.0.0.1:80/log/", True), ("https://localhost/log/", True), ("http://[::1]:80/", True),
    ("128.0.0.1:7070", False), ("localhost.example:7070", False), ("mint.example:7070", False),
    ("http://mint.example/127.0.0.1/", False), ("http://localhost@mint.example/", False), ("[::2]:1", False),
    ("http://[", False), ("", False),
])  # fmt: skip
def test_which_addresses_are_of_this_machine(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_what_is_said_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_proxy("mint.example:7070") == ""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128/")
    assert "proxy.example:3128, which http_proxy names" in name_proxy("mint.example:7070")
    assert "proxy.example:3128, which http_proxy names" in name_proxy("http://mint.example/")
    assert name_proxy("https://mint.example/") == name_proxy("127.0.0.1:7070") == ""
    monkeypatch.setenv("grpc_proxy", "other.example:1")
    assert "proxy other.example:1, which grpc_proxy names" in name_proxy("mint.example:7070")
    monkeypatch.setenv("no_proxy", ".example")
    assert name_proxy("mint.example:7070") == ""
