"""A database restored from a backup, or lost, catches up from whoever holds the log, with what the log signed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mintmark.errors import Fork, MintmarkError, NotAvailableYet, ProofError, Untrusted
from mintmark.mint.catch_up import catch_up
from mintmark.mint.keys import KeyDirectory
from mintmark.register.entry import format_entry
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.sources.grpc import GrpcSource
from mintmark.store.connection.pool import open_pool
from mintmark.store.mint.mint_store import MintStore
from tests.support.commands import spawn
from tests.support.lighthouse import ROWS, system
from tests.support.lights import DEFINED, append, append_items, define, lights
from tests.support.mint_site import LIGHTHOUSE, SALTED, THINGS, copied, create, put, stored
from tests.support.oracle import check_log
from tests.support.world import Lie, World, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.client.mint_client import MintClient
    from mintmark.formats import LogKind
    from mintmark.tlog.checkpoint import Checkpoint
    from tests.support.mint_site import Site
    from tests.support.postgres import TestPostgres

ORIGINS = (THINGS, LIGHTHOUSE, SALTED)
ERASURE = b'{"authority":"A","reason":"R"}'


async def caught_up(
    site: Site, database: str, mirror: GrpcSource | MintClient, origin: str, *, salted: bool = False
) -> Checkpoint:
    async with open_pool(database, 2) as pool, GrpcSource(mirror.address) as source:
        return await catch_up(MintStore(pool), KeyDirectory(site.keys), origin, source, salted=salted)


async def rows(database: str) -> list[object]:
    """All that a mint's database says, but for its own numbers, times and requests."""
    found: list[object] = []
    async with await psycopg.AsyncConnection.connect(database) as conn:
        for table, columns in (
            ("log", "kind, salted"),
            ("head", "size, root, note"),
            ("tile", "level, index, width, hashes"),
            ("bundle", "index, width, entries, items"),
            ("definition", "key, index, item"),
            ("clock", "type, timestamp"),
        ):
            key = "l.id" if table == "log" else "t.log"
            query = f"select l.origin, {columns} from {table} t join log l on l.id = {key} order by 1, 2, 3"
            query = query.replace("log t join log l on l.id = l.id", "log l")
            found.append(await (await conn.execute(query.encode())).fetchall())
    return found


async def fill(client: MintClient) -> None:
    """A first part, before the backup."""
    await create(client)
    await put(client, [b"%d" % number for number in range(300)])
    for origin in (LIGHTHOUSE, SALTED):
        await define(client, origin)
    await append(client, lights(0, 291))


async def go_on(client: MintClient) -> None:
    """And a second one, which the backup has not: several bundles, definitions, and erasures on either side."""
    await put(client, [b"more %d" % number for number in range(5000)])
    await append(client, [system("custodian", b'{"custodian":"B. Keeper"}'), *lights(300, 900)])
    erased = [pb.Item(key=f"erase:{index}", json=ERASURE, system=True) for index in (20, 270, 299, 310, 600)]
    await append_items(client, erased)
    await append_items(client, [pb.Item(key="FAR", json=b'{"lighthouse":"FAR"}')], origin=SALTED)


@pytest.mark.parametrize("lost", [False, True], ids=["restored", "lost"])
async def test_it_becomes_what_it_was_byte_for_byte(
    site: Site, postgres: TestPostgres, new_database: Callable[[str], str], lost: bool
) -> None:
    async with site.running() as client:
        await fill(client)
    old = new_database("mint") if lost else copied(postgres, site.database)
    async with site.running() as client:
        await go_on(client)
        for origin in ORIGINS:
            head = await caught_up(site, old, client, origin, salted=origin == SALTED)
            assert head.note == await client.checkpoint(origin)
            assert await check_log(old, origin, site.verifiers(origin)) == head.size
    assert await rows(old) == await rows(site.database)
    async with site.running(database=old) as client:
        assert (await put(client, [b"goes on"])).first == 5300
        assert (await append(client, lights(900, 1200))).first == DEFINED + 291 + 606
        assert (await stored(client, LIGHTHOUSE))[1][20] == b""
    assert await check_log(old, THINGS, site.verifiers(THINGS)) == 5301
    if not lost:
        postgres.drop(str(conninfo_to_dict(old)["dbname"]))


async def test_a_database_that_is_up_to_date_stays_as_it_is(site: Site) -> None:
    async with site.running() as client:
        await fill(client)
        before = await rows(site.database)
        for origin in ORIGINS:
            await caught_up(site, site.database, client, origin)
    assert await rows(site.database) == before


async def test_a_mirror_that_holds_less_than_was_signed_is_not_enough(
    site: Site, postgres: TestPostgres, new_database: Callable[[str], str]
) -> None:
    async with site.running() as client:
        await fill(client)
    old = copied(postgres, site.database)
    async with site.running() as client:
        await go_on(client)
    empty = new_database("mint")
    async with site.running(database=old) as behind:
        with pytest.raises(
            NotAvailableYet, match=r"holds 300 entries, and mint.example/things has signed 5300; ask another"
        ):
            await caught_up(site, empty, behind, THINGS)
        (site.keys / "things.mark").unlink()
        with pytest.raises(NotAvailableYet, match="holds 300 entries, and this database 5300"):
            await caught_up(site, site.database, behind, THINGS)
    assert await rows(empty) == [[]] * 6
    postgres.drop(str(conninfo_to_dict(old)["dbname"]))


@pytest.mark.parametrize("lie", [lie for lie in Lie if lie not in (Lie.NOTHING, Lie.ROLL_BACK, Lie.STALE, Lie.FORK)])
async def test_whatever_a_mirror_lies_nothing_is_written(site: Site, lie: Lie, tmp_path: Path) -> None:
    kind = "register" if lie in (Lie.FLIP_ITEM, Lie.WITHHOLD_ITEM) else "opaque"
    origin = LIGHTHOUSE if kind == "register" else THINGS
    world = World(origin, kind, site.signers[origin])
    async with site.running() as client:
        await create(client)
        await append(client, lights_with_definitions())
        await put(client, [b"%d" % number for number in range(300)])
        entries, items = await stored(client, origin)
        world.append(entries, items)
    more = [b"more %d" % number for number in range(900)]
    world.append(more if kind == "opaque" else entries[DEFINED:], items[DEFINED:])
    world.lie, before = lie, await rows(site.database)
    async with serve(world) as address, GrpcSource(address) as source:
        with pytest.raises((Untrusted, MintmarkError)):
            await caught_up(site, site.database, source, origin)
        assert await rows(site.database) == before
        world.lie = Lie.NOTHING
        assert (await caught_up(site, site.database, source, origin)).size == world.size
    assert await site.check(origin) == world.size


def lights_with_definitions() -> list[object]:
    from tests.support.lighthouse import ROWS

    return [*ROWS[:DEFINED], *lights(0, 291)]


@pytest.mark.parametrize("kind", ["opaque", "register"])
async def test_a_mirror_cannot_say_what_kind_of_log_it_is(site: Site, kind: LogKind) -> None:
    """A register made anew as an opaque log would take whatever is appended to it."""
    origin = LIGHTHOUSE if kind == "register" else THINGS
    world = World(origin, kind, site.signers[origin])
    entries, items = zip(*((format_entry(entry), item) for entry, item in ROWS), strict=True)
    world.append(*((entries, items) if kind == "register" else ([b"one", b"two"],)))
    world.kind = "opaque" if kind == "register" else "register"
    async with serve(world) as address, GrpcSource(address) as client:
        with pytest.raises(ProofError, match="its entries are not"):
            await caught_up(site, site.database, client, origin)
        assert not any(await rows(site.database))
        world.kind = kind
        assert (await caught_up(site, site.database, client, origin)).size == world.size


async def test_another_history_by_the_same_key_is_told_with_both_notes(site: Site, new_database: object) -> None:
    async with site.running() as client:
        await create(client)
        await put(client, [b"one"] * 10)
    mark = (site.keys / "things.mark").read_bytes()
    world = World(THINGS, "opaque", site.signers[THINGS])
    for count in (10, 20):
        world.append([b"another"] * count)
        async with serve(world) as address, GrpcSource(address) as source:
            with pytest.raises(Fork) as fork:
                await caught_up(site, new_database("mint"), source, THINGS)  # type: ignore[operator]  # the fixture's
        assert fork.value.notes == (mark, world.notes[-1])


async def test_by_the_command(site: Site, new_database: Callable[[str], str], tmp_path: Path) -> None:
    config = tmp_path / "mintmark.toml"
    async with site.running() as client:
        await fill(client)
        settings = {"database": new_database("mint"), "keys": "keys", "tokens": "tokens.toml"}
        config.write_text("[mint]\n" + "".join(f'{key} = "{value}"\n' for key, value in settings.items()))
        done = await spawn("catch-up", "things", "--from", client.address, "--config", config, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["size"] == 300
        failed = await spawn("catch-up", "nothing", "--from", client.address, "--config", config)
        assert (failed.code, "nothing.key cannot be read" in failed.err) == (1, True)
    gone = await spawn("catch-up", "things", "--from", client.address, "--config", config)
    assert (gone.code, "cannot be reached" in gone.err) == (4, True)
