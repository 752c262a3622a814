"""Each right of a token over the wire: with it in one log the call is done there; without it, or elsewhere, refused."""

from __future__ import annotations

from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.errors import Forbidden
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.support.lighthouse import system
from tests.support.lights import DEFINED, append, append_items, define, lights
from tests.support.mint_site import LIGHTHOUSE, SALTED, THINGS, TOKEN, create, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mintmark.client.mint_client import MintClient
    from tests.support.mint_site import Site

NEW = "mint.example/new"
REASONS = b'{"authority":"A","reason":"R"}'


@asynccontextmanager
async def holding(site: Site, rights: str, logs: str) -> AsyncIterator[MintClient]:
    """A client whose token has these rights in these logs, at a mint that has all three logs."""
    site.tokens.write_text(format_token("all", TOKEN, RIGHTS))
    async with site.running() as client:
        await create(client)
        await define(client)
        await append(client, lights(0, 3))
    digest = sha256(b"narrow").hexdigest()
    site.tokens.write_text(f'[[token]]\nname = "narrow"\nsha256 = "{digest}"\nrights = {rights}\nlogs = {logs}\n')
    async with site.running("narrow") as client:
        yield client


async def append_entry(client: MintClient) -> object:
    return await append(client, lights(5, 6))


async def append_item(client: MintClient) -> object:
    return await append_items(client, [pb.Item(key="L9", json=b'{"lighthouse":"L9","name":"N"}')])


async def append_opaque(client: MintClient) -> object:
    return await put(client, [b"one"])


async def make_log(client: MintClient) -> object:
    return await client.create(NEW, "opaque")


async def append_old(client: MintClient) -> object:
    return await append(client, lights(5, 6), legacy=True)


async def erase_by_entry(client: MintClient) -> object:
    return await append(client, [system(f"erase:{DEFINED}", REASONS)])


async def erase_by_item(client: MintClient) -> object:
    return await append_items(client, [pb.Item(key=f"erase:{DEFINED}", json=REASONS, system=True)])


CALLS = [
    (append_entry, ["append"], LIGHTHOUSE),
    (append_opaque, ["append"], THINGS),
    (append_old, ["append", "legacy"], LIGHTHOUSE),
    (erase_by_entry, ["append", "erase"], LIGHTHOUSE),
    (erase_by_item, ["append", "erase"], LIGHTHOUSE),
    (make_log, ["create"], NEW),
]
ALL = ["append", "create", "erase", "legacy"]


@pytest.mark.parametrize(("call", "rights", "origin"), CALLS)
async def test_a_right_in_a_log_is_enough_there(
    site: Site, call: Callable[[MintClient], Awaitable[object]], rights: list[str], origin: str
) -> None:
    site.make_key(NEW)
    async with holding(site, str(rights), f'["{origin}"]') as client:
        await call(client)


@pytest.mark.parametrize(("call", "rights", "origin"), [*CALLS, (append_item, ["append"], LIGHTHOUSE)])
async def test_every_right_but_one_is_not_enough(
    site: Site, call: Callable[[MintClient], Awaitable[object]], rights: list[str], origin: str
) -> None:
    site.make_key(NEW)
    for right in rights:
        others = [each for each in ALL if each != right]
        async with holding(site, str(others), '["*"]') as client:
            with pytest.raises(Forbidden, match=f"right.* {right}"):
                await call(client)


@pytest.mark.parametrize(("call", "rights", "origin"), [*CALLS, (append_item, ["append"], LIGHTHOUSE)])
async def test_every_right_in_another_log_is_not_enough(
    site: Site, call: Callable[[MintClient], Awaitable[object]], rights: list[str], origin: str
) -> None:
    site.make_key(NEW)
    async with holding(site, str(ALL), f'["{SALTED}"]') as client:
        with pytest.raises(Forbidden, match=f"has no right to {rights[0]} in {origin}"):
            await call(client)
