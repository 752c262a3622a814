"""Whatever breaks, and wherever: what was acknowledged is in the log once, and the log goes on (ADR 2)."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import secrets
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from mintmark.client.mint_client import MintClient
from mintmark.errors import Misconfigured, Rejected, Unavailable
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.support.lighthouse import DEFINITIONS, define_field, define_register, entry, system
from tests.support.lights import DEFINED, append, append_items, define, light, lights
from tests.support.mint_site import LIGHTHOUSE, THINGS, TOKEN, create, put, stored
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.support.mint_site import Site

TABLES = ["head", "tile", "bundle", "request", "definition", "clock"]


async def test_a_database_that_answers_before_it_has_written_is_not_used(site: Site) -> None:
    hasty = make_conninfo(site.database, options="-c synchronous_commit=off")
    with pytest.raises(Misconfigured, match="synchronous_commit off, and could lose what was acknowledged"):
        async with site.running(database=hasty):
            raise AssertionError("it serves")


@pytest.mark.parametrize("deliver", [False, True], ids=["failed", "failed-but-done"])
async def test_a_connection_cut_at_any_request_of_a_commit_heals_by_itself(site: Site, deliver: bool) -> None:
    async with Wire(site.database).open() as wire, site.running(database=wire.conninfo) as client:
        await create(client)
        await define(client)
        size = cuts = 0
        for request in range(20):
            wire.arm(request % 2, deliver=deliver)
            size += 1
            answers = await asyncio.gather(
                append(client, lights(size, size + 1)), put(client, [b"one", b"%d" % request])
            )
            assert [answer.first for answer in answers] == [DEFINED + size - 1, 2 * size - 2]
            cuts += wire.cut
        wire.arm(10**9, deliver=False)
    assert cuts > 15
    assert await site.check(LIGHTHOUSE) == DEFINED + size
    assert await site.check(THINGS) == 2 * size


def fail(database: str, table: str, when: str, sqlstate: str = "", times: int = 1) -> None:
    """Makes the next writes of a table fail in Postgres itself."""
    timing = "constraint trigger fault after" if when == "commit" else "trigger fault before"
    deferred = "deferrable initially deferred" if when == "commit" else ""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("create sequence if not exists faults")
        conn.execute("alter sequence faults restart")
        conn.execute(
            f"""create or replace function fault() returns trigger language plpgsql as $$ begin
            if nextval('faults') <= {times} then
                raise exception 'a fault' using errcode = '{sqlstate or "P0001"}';
            end if; return new; end $$"""
        )
        conn.execute(f"create {timing} insert or update on {table} {deferred} for each row execute function fault()")


def mend(database: str, table: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"drop trigger fault on {table}")


@pytest.mark.parametrize("table", [*TABLES, "commit"])
async def test_a_statement_that_fails_undoes_the_whole_commit_and_the_next_one_is_made(site: Site, table: str) -> None:
    async with site.running() as client:
        await create(client)
        await append(client, [system(*pair) for pair in DEFINITIONS])
        fail(site.database, "head" if table == "commit" else table, "commit" if table == "commit" else "statement")
        rows = [system("custodian", b'{"custodian":"B. Keeper"}'), *lights(0, 300)]
        answer = await append(client, rows)
        assert answer.first == DEFINED
    assert await site.check(LIGHTHOUSE) == DEFINED + 301


async def test_a_full_disk_is_a_clear_refusal_and_nothing_by_hand_afterwards(site: Site) -> None:
    async with site.running(database_timeout=0.2) as client:
        await create(client)
        await put(client, [b"one"])
        for table in ("tile", "bundle", "request", "head"):
            fail(site.database, table, "statement", "53100", 10**9)
            id = secrets.token_bytes(16)
            with pytest.raises(Unavailable, match="the database's disk is full"):
                await put(client, [b"two"], id)
            before = await site.check(THINGS)
            mend(site.database, table)
            assert (await put(client, [b"two"], id)).first == before
    assert await site.check(THINGS) == 5


@pytest.mark.parametrize("deliver", [False, True], ids=["failed", "failed-but-done"])
async def test_a_second_fault_during_recovery_loses_nothing(site: Site, deliver: bool) -> None:
    """The first commit fails, and what the recovery from it asks is cut off, one request after another."""
    async with Wire(site.database).open() as wire, site.running(database=wire.conninfo) as client:
        await create(client)
        size = cuts = 0
        for request in range(1, 12):
            fail(site.database, "head", "commit")
            wire.arm(request, deliver=deliver)
            assert (await put(client, [b"more"])).first == size
            size, cuts = size + 1, cuts + wire.cut
            mend(site.database, "head")
        wire.arm(10**9, deliver=False)
    assert cuts > 4
    assert await site.check(THINGS) == size


async def test_two_mints_on_one_database_write_one_history(site: Site) -> None:
    async with site.running() as one, site.running() as two:
        await create(one)
        await define(one)

        async def write(client: MintClient, name: str) -> list[tuple[bytes, int]]:
            found = []
            for number in range(25):
                entry = f"{name} {number}".encode()
                found.append((entry, (await put(client, [entry])).first))
                await append(client, lights(number, number + 1))
            return found

        writers = [write(client, f"{name}{at}") for name, client in (("a", one), ("b", two)) for at in range(3)]
        written = [pair for pairs in await asyncio.gather(*writers) for pair in pairs]
        entries, _ = await stored(two, THINGS)
    assert [entries[index] for _, index in written] == [entry for entry, _ in written]
    assert await site.check(THINGS) == len(written) == 150
    assert await site.check(LIGHTHOUSE) == DEFINED + 150


async def test_the_same_request_to_two_mints_is_in_the_log_once(site: Site) -> None:
    async with site.running() as one, site.running() as two:
        await create(one)
        for number in range(20):
            id = secrets.token_bytes(16)
            answers = await asyncio.gather(*(put(client, [b"once"], id) for client in (one, two, one, two)))
            assert {answer.first for answer in answers} == {number}
    assert await site.check(THINGS) == 20


async def test_a_mint_admits_by_what_another_has_defined_meanwhile(site: Site) -> None:
    tall = light("TAL", height="40")
    async with site.running() as one, site.running() as two:
        await create(one)
        await define(one)
        await append(two, lights(0, 1))
        with pytest.raises(Rejected, match="no field 'height'"):
            await append(two, [(entry("TAL", tall), tall)])
        fields = ["lighthouse", "name", "region", "light-colours", "start-date", "height"]
        await append(one, [system(*define_field("height")), system(*define_register("lighthouse", fields))])
        await append(two, [(entry("TAL", tall), tall)])
    assert await site.check(LIGHTHOUSE) == DEFINED + 4


async def test_an_erased_item_does_not_come_back_by_another_mint(site: Site) -> None:
    async with site.running() as one, site.running() as two:
        await create(one)
        await define(one)
        await append(two, lights(0, 5))
        erasure = pb.Item(key=f"erase:{DEFINED}", json=b'{"authority":"A","reason":"R"}', system=True)
        await append_items(one, [erasure])
        await append(two, lights(5, 10))
        assert (await stored(two, LIGHTHOUSE))[1][DEFINED] == b""
    assert await site.check(LIGHTHOUSE) == DEFINED + 11


async def test_a_mint_that_stops_answers_what_it_commits(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        address = client.address
        sends = [asyncio.create_task(put(client, [b"%d" % number])) for number in range(300)]
        await asyncio.sleep(0.02)
        async with MintClient(address, token=TOKEN) as other:
            sends.append(asyncio.create_task(put(other, [b"last"])))
            await asyncio.sleep(0.05)
    answers = await asyncio.gather(*sends, return_exceptions=True)
    done = [answer.first for answer in answers if not isinstance(answer, BaseException)]
    size = await site.check(THINGS)
    assert len(set(done)) == len(done) <= size
    assert all(first < size for first in done)


async def test_entries_are_there_once_after_kills_at_any_moment(site: Site, tmp_path: Path) -> None:
    """The mint's process is killed while four clients append, again and again."""
    config, address = tmp_path / "mintmark.toml", f"127.0.0.1:{free_port()}"
    settings = {"database": site.database, "keys": "keys", "tokens": "tokens.toml", "listen": address}
    config.write_text("[mint]\n" + "".join(f'{key} = "{value}"\n' for key, value in settings.items()))
    acknowledged: dict[bytes, int] = {}
    done = asyncio.Event()

    async def write(name: str) -> None:
        number = 0
        async with MintClient(address, token=TOKEN) as client:
            while not done.is_set():
                batch = [f"{name} {number} {at}".encode() for at in range(random.randint(1, 40))]
                answer = await insist(functools.partial(put, client, batch, secrets.token_bytes(16)))
                acknowledged.update(zip(batch, range(answer.first, answer.first + len(batch)), strict=True))
                number += 1

    async def insist(call: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            with suppress(Unavailable):
                return await call()
            await asyncio.sleep(0.05)

    process = await start(config)
    async with MintClient(address, token=TOKEN) as client:
        await insist(lambda: client.create(THINGS, "opaque"))
    writers = [asyncio.create_task(write(f"w{number}")) for number in range(4)]
    for _ in range(3):
        await asyncio.sleep(random.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await start(config)
        count = len(acknowledged)
        async with asyncio.timeout(30):
            while len(acknowledged) < count + 50:  # noqa: ASYNC110  # the writers are other tasks
                await asyncio.sleep(0.02)
    done.set()
    await asyncio.gather(*writers)
    async with MintClient(address) as client:
        entries, _ = await stored(client, THINGS)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert [entries[index] for index in acknowledged.values()] == list(acknowledged)
    assert len(set(entries)) == len(entries) == await site.check(THINGS)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def start(config: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "mintmark", "mint", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ,
    )
