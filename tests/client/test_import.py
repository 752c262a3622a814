"""Importing tables into a real mint: what is there already, what is not, and what is said of either."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark import AsyncClient, Rejected
from mintmark.cli import exits
from mintmark.client.keys import TrustedLog
from mintmark.client.mint_client import MintClient
from mintmark.client.table_import import plan_table
from mintmark.register.rsf import write_rsf
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.support.commands import spawn
from tests.support.lighthouse import ROWS
from tests.support.lights import DEFINED, append, append_items, define, light, lights
from tests.support.mint_site import LIGHTHOUSE, SALTED, TOKEN, Site, create

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from mintmark.client.mint_client import AppendAnswer

    Import = Callable[..., "dict[str, int]"]


@asynccontextmanager
async def importing(site: Site, tmp_path: Path, origin: str = LIGHTHOUSE) -> AsyncIterator[tuple[MintClient, Import]]:
    """A mint with a register, and the command that imports lines into it."""
    async with site.running() as client:
        await create(client)
        await define(client, origin)
        vkey = site.signers[origin].vkey

        async def run(*lines: str, suffix: str = "csv") -> dict[str, int]:
            file = tmp_path / f"table.{suffix}"
            file.write_text("".join(f"{line}\n" for line in lines))
            where = ("--grpc", client.address, "--vkey", vkey, "--json")
            said = await spawn("import", origin, file, *where, MINTMARK_TOKEN=TOKEN)
            assert said.code == exits.OK, said
            return json.loads(said.out)

        yield client, run


def outcome(said: dict[str, int]) -> tuple[int, int, int]:
    return said["appended"], said["present"], said["size"] - DEFINED


HEADER, OLD, NEW = "lighthouse,name", "FAR,Farol", "FAR,Farol Novo"


@pytest.mark.parametrize("origin", [LIGHTHOUSE, SALTED])
async def test_an_older_state_after_another_is_appended_again(site: Site, tmp_path: Path, origin: str) -> None:
    async with importing(site, tmp_path, origin) as (_, run):
        assert outcome(await run(HEADER, OLD)) == (1, 0, 1)
        assert outcome(await run(HEADER, OLD)) == (0, 1, 1)
        assert outcome(await run(HEADER, NEW)) == (1, 0, 2)
        assert outcome(await run(HEADER, OLD)) == (1, 0, 3)
        assert outcome(await run(HEADER, OLD, "KIN,Kinnaird")) == (1, 1, 4)


async def test_several_rows_of_one_record_are_there_in_their_order_or_not(site: Site, tmp_path: Path) -> None:
    async with importing(site, tmp_path) as (_, run):
        assert outcome(await run(HEADER, OLD, NEW, OLD)) == (3, 0, 3)
        assert outcome(await run(HEADER, OLD, NEW, OLD)) == (0, 3, 3)
        assert outcome(await run(HEADER, OLD, NEW)) == (1, 1, 4)
        assert outcome(await run(HEADER, NEW, OLD)) == (1, 1, 5)


async def test_entries_with_their_times(site: Site, tmp_path: Path) -> None:
    """Lines of an export: entries, the end of a record, and the same again at another time."""

    def line(time: str, item: str = ',"item":{"lighthouse":"FAR","name":"Farol"}') -> str:
        return f'{{"key":"FAR","timestamp":"{time}","type":"user"{item}}}'

    first, ended, again = line("2024-05-01T00:00:00Z"), line("2024-05-02T00:00:00Z", ""), line("2024-05-03T00:00:00Z")
    async with importing(site, tmp_path) as (_, run):
        assert outcome(await run(first, ended, suffix="jsonl")) == (2, 0, 2)
        assert outcome(await run(first, ended, again, suffix="jsonl")) == (1, 2, 3)
        assert outcome(await run('{"lighthouse":"FAR","name":"Farol"}', suffix="jsonl")) == (0, 1, 3)


async def test_an_item_that_was_erased_is_not_brought_back(site: Site, tmp_path: Path) -> None:
    async with importing(site, tmp_path) as (client, run):
        assert outcome(await run(HEADER, OLD)) == (1, 0, 1)
        erasure = pb.Item(key=f"erase:{DEFINED}", json=b'{"authority":"A","reason":"R"}', system=True)
        await append_items(client, [erasure])
        assert outcome(await run(HEADER, OLD)) == (0, 1, 2)


class CutOff(MintClient):
    """A client whose process ends when it has sent so many batches and one more, unanswered."""

    left: int

    async def append_items(self, origin: str, request_id: bytes, items: Sequence[pb.Item]) -> AppendAnswer:
        answer = await super().append_items(origin, request_id, items)
        self.left -= 1
        if self.left < 0:
            raise OSError("the process ends")
        return answer


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_an_import_that_is_cut_off_anywhere_is_run_again(site: Site, tmp_path: Path, lost: int) -> None:
    """Also where the last batch is in the log and its answer was lost."""
    rows = [HEADER, *(f"L{number},Light {number % 3}" for number in range(25))]
    async with importing(site, tmp_path) as (client, run):
        (tmp_path / "table.csv").write_text("".join(f"{row}\n" for row in rows))
        log = TrustedLog(LIGHTHOUSE, tuple(site.verifiers(LIGHTHOUSE)))
        async with CutOff(client.address, token=TOKEN) as cut_off:
            cut_off.left = lost
            plan = await plan_table(cut_off, log, tmp_path / "table.csv", "csv")
            with pytest.raises(OSError, match="the process ends"):
                await plan.apply(cut_off, max_batch_entries=10)
        assert (await client.inclusion(LIGHTHOUSE, index=0)).size == DEFINED + min(10 * (lost + 1), 25)
        said = await run(*rows)
        assert said["size"] == DEFINED + 25
        assert said["appended"] + said["present"] == 25
        assert await site.check(LIGHTHOUSE) == DEFINED + 25


async def test_a_plan_is_looked_at_before_it_is_sent(site: Site, tmp_path: Path) -> None:
    async with importing(site, tmp_path) as (client, run):
        await run(HEADER, OLD)
        file = tmp_path / "lights.csv"
        file.write_text(f"{HEADER}\n{OLD}\nKIN,Kinnaird\n")
        async with AsyncClient(client.address, site.signers[LIGHTHOUSE].vkey, token=TOKEN) as library:
            register = library.register("lighthouse")
            plan = await register.plan(file)
            assert (plan.log.origin, plan.head.size, plan.count, plan.present) == (LIGHTHOUSE, DEFINED + 1, 1, 1)
            assert list(plan.entries()) == [("KIN", b'{"lighthouse":"KIN","name":"Kinnaird"}', None, "user")]
            assert (await register.log.checkpoint()).size == DEFINED + 1
            result = await register.apply(plan)
            assert (result.appended, result.present, result.head.size) == (1, 1, DEFINED + 2)
            assert (await register.record("KIN")).item == {"lighthouse": "KIN", "name": "Kinnaird"}
            assert (await register.plan(file)).count == 0


@pytest.mark.parametrize("appended", [0, 4, len(ROWS)])
async def test_an_rsf_file_is_planned_from_what_the_log_has(site: Site, tmp_path: Path, appended: int) -> None:
    file = tmp_path / "lighthouse.rsf"
    file.write_bytes(b"".join(write_rsf(ROWS)))
    async with site.running() as client:
        await create(client)
        if appended:
            await append(client, ROWS[:appended])
        async with AsyncClient(client.address, site.signers[LIGHTHOUSE].vkey, token=TOKEN) as library:
            register = library.register("lighthouse")
            plan = await register.plan(file)
            assert (plan.count, plan.present, plan.warnings) == (len(ROWS) - appended, appended, [])
            assert [entry.item for entry in plan.entries()] == [item for _, item in ROWS[appended:]]
            assert (await register.apply(plan)).head.size == len(ROWS)
        assert await site.check(LIGHTHOUSE) == len(ROWS)
        await append_items(client, [pb.Item(key="L1", json=light("L1"))])
        file.write_bytes(b"".join(write_rsf([*ROWS, *lights(2, 4)])))
        async with AsyncClient(client.address, site.signers[LIGHTHOUSE].vkey, token=TOKEN) as library:
            with pytest.raises(Rejected, match="holds other entries than this file"):
                await library.register("lighthouse").plan(file)


async def test_a_register_that_is_not_defined_yet(site: Site, tmp_path: Path) -> None:
    async with site.running() as client:
        await create(client)
        for suffix, text in (("csv", f"{HEADER}\n{OLD}\n"), ("jsonl", '{"lighthouse":"FAR","name":"Farol"}\n')):
            file = tmp_path / f"table.{suffix}"
            file.write_text(text)
            where = ("--grpc", client.address, "--vkey", site.signers[LIGHTHOUSE].vkey)
            said = await spawn("import", LIGHTHOUSE, file, *where, MINTMARK_TOKEN=TOKEN)
            assert said.code == exits.ERROR
            assert f"{LIGHTHOUSE} is not defined yet" in said.err
            assert "mintmark append lighthouse --system --key register:lighthouse --item" in said.err


async def test_a_log_that_was_not_created(site: Site, tmp_path: Path) -> None:
    async with site.running() as client:
        (tmp_path / "table.csv").write_text(f"{HEADER}\n{OLD}\n")
        where = ("--grpc", client.address, "--vkey", site.signers[LIGHTHOUSE].vkey)
        said = await spawn("import", LIGHTHOUSE, tmp_path / "table.csv", *where, MINTMARK_TOKEN=TOKEN)
        assert (said.code, f"`mintmark create {LIGHTHOUSE}`" in said.err) == (exits.ERROR, True), said
    (tmp_path / "up").mkdir()
    said = await spawn("import", "lighthouse", tmp_path / "table.csv", "--dir", tmp_path / "up")
    assert (said.code, "`mintmark create lighthouse`" in said.err) == (exits.ERROR, True), said
