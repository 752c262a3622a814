"""Ending a record: what is misspelt, or has ended already, does not get into the log where the read API can tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from mintmark.cli import exits
from mintmark.cli.run.up_files import claim_address
from mintmark.mirror.catch_up import CatchUp
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support.commands import serving, spawn
from tests.support.lighthouse import FAR, KIN
from tests.support.lights import DEFINED, append_items, define
from tests.support.mint_site import LIGHTHOUSE, TOKEN, Site, create

if TYPE_CHECKING:
    from mintmark.client.mint_client import MintClient
    from tests.support.commands import Result


async def mirror(site: Site, client: MintClient, database: str) -> None:
    async with open_pool(database, 1) as pool:
        follower = CatchUp(ReadStore(pool), LIGHTHOUSE, site.verifiers(LIGHTHOUSE))
        assert await follower.step(client, await client.checkpoint(LIGHTHOUSE), "register")


async def until_served(url: str, size: int) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=url) as http:
        while True:
            try:
                if (await http.get(f"/lighthouse/register?at={size}")).status_code == 200:
                    return
            except httpx.ConnectError:
                pass
            await asyncio.sleep(0.1)


async def test_only_a_record_that_stands_is_ended(site: Site, read_db: str) -> None:
    url = f"http://{(address := claim_address('127.0.0.1:0', 'listen'))}"
    async with site.running() as client, serving(read_db, address):

        async def end(key: str) -> Result:
            where = ("--grpc", client.address, "--http", url, "--vkey", site.signers[LIGHTHOUSE].vkey)
            return await spawn("append", LIGHTHOUSE, "--tombstone", key, *where, MINTMARK_TOKEN=TOKEN)

        await create(client)
        await define(client)
        await append_items(client, [pb.Item(key="FAR", json=FAR), pb.Item(key="KIN", json=KIN)])
        await mirror(site, client, read_db)
        await until_served(url, DEFINED + 2)
        said = await end("nosuch")
        assert (said.code, said.err) == (exits.ERROR, "mintmark: no record 'nosuch' to end\n")
        assert (await end("FAR")).code == exits.OK
        assert (await end("KIN")).code == exits.OK  # the read API is behind by now
        await mirror(site, client, read_db)
        await until_served(url, DEFINED + 4)
        said = await end("FAR")
        assert (said.code, said.err) == (exits.ERROR, "mintmark: record 'FAR' has ended already\n")
    assert await site.check(LIGHTHOUSE) == DEFINED + 4


async def test_without_a_read_api_the_mint_takes_the_key_as_it_is(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        await define(client)
        for http in ((), ("--http", "http://127.0.0.1:1")):
            where = ("--grpc", client.address, *http, "--vkey", site.signers[LIGHTHOUSE].vkey)
            said = await spawn("append", LIGHTHOUSE, "--tombstone", "nosuch", *where, MINTMARK_TOKEN=TOKEN)
            assert said.code == exits.OK, said
    assert await site.check(LIGHTHOUSE) == DEFINED + 2
