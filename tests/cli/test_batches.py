"""What is larger than one request goes in several, whatever it comes from; what no log takes is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.client.sending import MAX_REQUEST_ENTRIES
from mintmark.mint.validation import MAX_BATCH_ENTRIES
from mintmark.register.rsf import write_rsf
from mintmark.tlog.bundle import MAX_ENTRY_BYTES
from tests.support.commands import one_sentence, spawn
from tests.support.lighthouse import ROWS
from tests.support.lights import DEFINED, define, light, lights
from tests.support.mint_site import LIGHTHOUSE, THINGS, TOKEN, Site, stored

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.client.mint_client import MintClient


@pytest.fixture
def where(site: Site, mint: MintClient) -> dict[str, tuple[str, ...]]:
    """The options that name each log of a mint."""
    return {log: ("--grpc", mint.address, "--vkey", site.signers[log].vkey, "--json") for log in (THINGS, LIGHTHOUSE)}


def test_a_request_is_as_large_as_a_mint_takes() -> None:
    assert MAX_REQUEST_ENTRIES == MAX_BATCH_ENTRIES


@pytest.mark.parametrize(("count", "length", "batches"), [
    (40_000, 4, [32_768, 7_232]),
    (300, 65_535, [239, 61]),
    (32_768, 4, [32_768]),
], ids=["entries", "bytes", "one"])  # fmt: skip
async def test_lines_go_in_batches(
    mint: MintClient, where: dict[str, tuple[str, ...]], count: int, length: int, batches: list[int]
) -> None:
    lines = [(b"%04x" % number).ljust(length, b".") for number in range(count)]
    said = await spawn("append", THINGS, *where[THINGS], stdin=b"\n".join(lines) + b"\n", MINTMARK_TOKEN=TOKEN)
    assert said.code == exits.OK, said.err
    printed = [json.loads(line) for line in said.out.splitlines()]
    assert [batch["count"] for batch in printed] == batches
    assert [batch["first"] for batch in printed] == [sum(batches[:at]) for at in range(len(batches))]
    assert printed[-1]["size"] == count
    assert (await stored(mint, THINGS))[0] == lines


async def test_arguments_go_in_batches_as_lines_do(mint: MintClient, where: dict[str, tuple[str, ...]]) -> None:
    given = [f"{number:x}" for number in range(33_000)]
    said = await spawn("append", THINGS, *given, *where[THINGS], MINTMARK_TOKEN=TOKEN)
    assert [json.loads(line)["count"] for line in said.out.splitlines()] == [32_768, 232], said.err
    assert (await stored(mint, THINGS))[0] == [each.encode() for each in given]


async def test_an_entry_that_no_log_takes_is_named(mint: MintClient, where: dict[str, tuple[str, ...]]) -> None:
    """Before any is sent."""
    options = where[THINGS][:-1]
    lines = b"one\n" + b"x" * (MAX_ENTRY_BYTES + 1) + b"\nthree\n"
    said = await spawn("append", THINGS, *options, stdin=lines, MINTMARK_TOKEN=TOKEN)
    one_sentence(said, exits.ERROR, "line 2 has 65,536 bytes; an entry has at most 65,535")
    said = await spawn("append", THINGS, "one", "x" * (MAX_ENTRY_BYTES + 1), *options, MINTMARK_TOKEN=TOKEN)
    one_sentence(said, exits.ERROR, "entry 2 has 65,536 bytes; an entry has at most 65,535")
    assert await stored(mint, THINGS) == ([], [])


@pytest.mark.parametrize("format_", ["jsonl", "csv", "tsv", "rsf"])
async def test_an_import_goes_in_batches(
    mint: MintClient, where: dict[str, tuple[str, ...]], tmp_path: Path, format_: str
) -> None:
    await define(mint)
    names, text = [f"L{number}" for number in range(400)], "x" * 60_000
    tables = {"csv": ",", "tsv": "\t"}
    file = tmp_path / f"table.{format_}"
    if format_ == "rsf":
        file.write_bytes(b"".join(write_rsf([*ROWS[:DEFINED], *lights(0, 5_000)])))
        expected = [item for _, item in lights(0, 5_000)]
    elif format_ == "jsonl":
        expected = [light(name, region="N", name=text) for name in names]
        file.write_bytes(b"".join(item + b"\n" for item in expected))
    else:
        line = tables[format_].join
        rows_ = [line(("lighthouse", "name", "region")), *(line((name, text, "N")) for name in names)]
        file.write_text("\n".join(rows_) + "\n")
        expected = [light(name, region="N", name=text) for name in names]
    said = await spawn("import", LIGHTHOUSE, file, *where[LIGHTHOUSE], MINTMARK_TOKEN=TOKEN)
    assert (said.code, json.loads(said.out or "{}").get("appended")) == (exits.OK, len(expected)), said.err
    assert (await stored(mint, LIGHTHOUSE))[1][DEFINED:] == expected


@pytest.mark.parametrize("format_", ["jsonl", "csv", "rsf"])
async def test_an_item_that_no_log_takes_is_named_by_its_line(
    mint: MintClient, where: dict[str, tuple[str, ...]], tmp_path: Path, format_: str
) -> None:
    await define(mint)
    large = light("BIG", region="x" * 70_000)
    tables = {
        "jsonl": light("A") + b"\n" + large + b"\n",
        "csv": b"lighthouse,name,region\nA,The A,N\nBIG,B," + b"x" * 70_000 + b"\n",
        "rsf": b"add-item\t" + large + b"\n",
    }
    file = tmp_path / f"table.{format_}"
    file.write_bytes(tables[format_])
    said = await spawn("import", LIGHTHOUSE, file, *where[LIGHTHOUSE][:-1], MINTMARK_TOKEN=TOKEN)
    line = {"jsonl": 2, "csv": 3, "rsf": 1}[format_]
    one_sentence(said, exits.ERROR, f"line {line}: ", "bytes; the most is 65535")
    assert len((await stored(mint, LIGHTHOUSE))[0]) == DEFINED
