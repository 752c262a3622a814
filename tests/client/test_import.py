"""Importing tables into a real mint: what is there already, what is not, and what is said of either."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.cli.main import main
from mintmark.client import table_import, upload
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.mint.conftest import LIGHTHOUSE, SALTED, TOKEN, Site, create, site  # noqa: F401  # a fixture
from tests.support.commands import spawn
from tests.support.lights import DEFINED, append_items, define

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from mintmark.rpc.client import RpcClient

    Import = Callable[..., "dict[str, int]"]


@asynccontextmanager
async def importing(site: Site, tmp_path: Path, origin: str = LIGHTHOUSE) -> AsyncIterator[tuple[RpcClient, Import]]:  # noqa: F811
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
async def test_an_older_state_after_another_is_appended_again(site: Site, tmp_path: Path, origin: str) -> None:  # noqa: F811
    async with importing(site, tmp_path, origin) as (_, run):
        assert outcome(await run(HEADER, OLD)) == (1, 0, 1)
        assert outcome(await run(HEADER, OLD)) == (0, 1, 1)
        assert outcome(await run(HEADER, NEW)) == (1, 0, 2)
        assert outcome(await run(HEADER, OLD)) == (1, 0, 3)
        assert outcome(await run(HEADER, OLD, "KIN,Kinnaird")) == (1, 1, 4)


async def test_several_rows_of_one_record_are_there_in_their_order_or_not(site: Site, tmp_path: Path) -> None:  # noqa: F811
    async with importing(site, tmp_path) as (_, run):
        assert outcome(await run(HEADER, OLD, NEW, OLD)) == (3, 0, 3)
        assert outcome(await run(HEADER, OLD, NEW, OLD)) == (0, 3, 3)
        assert outcome(await run(HEADER, OLD, NEW)) == (1, 1, 4)
        assert outcome(await run(HEADER, NEW, OLD)) == (1, 1, 5)


async def test_entries_with_their_times(site: Site, tmp_path: Path) -> None:  # noqa: F811
    """Lines of an export: entries, the end of a record, and the same again at another time."""

    def line(time: str, item: str = ',"item":{"lighthouse":"FAR","name":"Farol"}') -> str:
        return f'{{"key":"FAR","timestamp":"{time}","type":"user"{item}}}'

    first, ended, again = line("2024-05-01T00:00:00Z"), line("2024-05-02T00:00:00Z", ""), line("2024-05-03T00:00:00Z")
    async with importing(site, tmp_path) as (_, run):
        assert outcome(await run(first, ended, suffix="jsonl")) == (2, 0, 2)
        assert outcome(await run(first, ended, again, suffix="jsonl")) == (1, 2, 3)
        assert outcome(await run('{"lighthouse":"FAR","name":"Farol"}', suffix="jsonl")) == (0, 1, 3)


async def test_an_item_that_was_erased_is_not_brought_back(site: Site, tmp_path: Path) -> None:  # noqa: F811
    async with importing(site, tmp_path) as (client, run):
        assert outcome(await run(HEADER, OLD)) == (1, 0, 1)
        erasure = pb.Item(key=f"erase:{DEFINED}", json=b'{"authority":"A","reason":"R"}', system=True)
        await append_items(client, [erasure])
        assert outcome(await run(HEADER, OLD)) == (0, 1, 2)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_an_import_that_is_cut_off_anywhere_is_run_again(
    site: Site,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: int,
) -> None:
    """Also where the last batch is in the log and its answer was lost."""
    monkeypatch.setattr(upload, "BATCH_ENTRIES", 10)
    monkeypatch.setenv("MINTMARK_TOKEN", TOKEN)
    rows = [HEADER, *(f"L{number},Light {number % 3}" for number in range(25))]
    async with importing(site, tmp_path) as (client, run):
        (tmp_path / "table.csv").write_text("".join(f"{row}\n" for row in rows))
        arguments = ["import", LIGHTHOUSE, str(tmp_path / "table.csv"), "--grpc", client.address]
        arguments += ["--vkey", site.signers[LIGHTHOUSE].vkey]
        assert await failing_after(lost, arguments, monkeypatch) == exits.ERROR
        said = await run(*rows)
        assert said["size"] == DEFINED + 25
        assert said["appended"] + said["present"] == 25
        assert await site.check(LIGHTHOUSE) == DEFINED + 25


async def failing_after(batches: int, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs a command whose process ends when it has sent so many batches and one more, unanswered."""
    honest, sent = table_import.send, 0

    async def send(*args: object) -> object:
        nonlocal sent
        answer = await honest(*args)  # type: ignore[arg-type]
        if sent == batches:
            raise OSError("the process ends")
        sent += 1
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(table_import, "send", send)
        return await asyncio.to_thread(main, arguments)


async def test_a_register_that_is_not_defined_yet(site: Site, tmp_path: Path) -> None:  # noqa: F811
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


async def test_a_log_that_was_not_created(site: Site, tmp_path: Path) -> None:  # noqa: F811
    async with site.running() as client:
        (tmp_path / "table.csv").write_text(f"{HEADER}\n{OLD}\n")
        where = ("--grpc", client.address, "--vkey", site.signers[LIGHTHOUSE].vkey)
        said = await spawn("import", LIGHTHOUSE, tmp_path / "table.csv", *where, MINTMARK_TOKEN=TOKEN)
        assert (said.code, f"`mintmark create {LIGHTHOUSE}`" in said.err) == (exits.NOT_YET, True), said
    (tmp_path / "up").mkdir()
    said = await spawn("import", "lighthouse", tmp_path / "table.csv", "--dir", tmp_path / "up")
    assert (said.code, "`mintmark create lighthouse`" in said.err) == (exits.ERROR, True), said
