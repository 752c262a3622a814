"""RSF files against what a log holds: the two published sequences are compared, and files that continue a register."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mintmark import AsyncClient, Rejected
from mintmark.client.rsf_import import check_file
from mintmark.register.entry import Entry, v1_extend
from mintmark.register.item import format_hash, item_hash
from mintmark.register.rsf import write_rsf
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.tlog.edge import Edge
from tests.support.commands import spawn
from tests.support.lighthouse import FIELDS, KIN, ROWS, define_field, define_register, system, user
from tests.support.lights import DEFINED, append, append_items, light, lights
from tests.support.mint_site import LIGHTHOUSE, TOKEN, Site, create, stored
from tests.support.published_facts import SHARED, UNPUBLISHED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from mintmark.client.importing import ImportResult
    from mintmark.client.mint_client import MintClient
    from mintmark.client.register import AsyncRegister

    Rows = Sequence[tuple[Entry, bytes | None]]

LATER = "2024-03-03T00:00:00Z"
HEIGHT = [system(*define_field("height", "integer")), system(*define_register("lighthouse", [*FIELDS, "height"]))]
TALL = user("TAL", light("TAL", height="90"), LATER)
NEWER = [*ROWS[:DEFINED], *HEIGHT, *ROWS[DEFINED:], TALL]  # as a file has it: the definitions first


@asynccontextmanager
async def importing(site: Site) -> AsyncIterator[tuple[AsyncRegister, MintClient]]:
    async with site.running() as mint:
        await create(mint)
        async with AsyncClient(mint.address, site.signers[LIGHTHOUSE].vkey, token=TOKEN) as library:
            yield library.register("lighthouse"), mint


async def load(register: AsyncRegister, path: Path, data: bytes, **options: Any) -> ImportResult:
    file = path / "file.rsf"
    file.write_bytes(data)
    return await register.apply(await register.plan(file, **options))


def rsf(rows: Rows) -> bytes:
    return b"".join(write_rsf(rows))


def continuing(before: Rows, rows: Rows) -> bytes:
    """The file of the user entries that follow others, as an API's download of a range has it."""
    return b"".join(write_rsf(rows, v1_extend(Edge(), [entry for entry, _ in before])))


def counts(result: ImportResult) -> tuple[int, int, int]:
    return result.appended, result.present, result.head.size


async def test_a_newer_file_brings_new_definitions_before_old_records(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, _):
        assert counts(await load(register, tmp_path, rsf(ROWS))) == (11, 0, 11)
        assert counts(await load(register, tmp_path, rsf(NEWER))) == (3, 11, 14)
        assert counts(await load(register, tmp_path, rsf(NEWER))) == (0, 14, 14)
        assert counts(await load(register, tmp_path, rsf(ROWS))) == (0, 11, 14)  # the older one has nothing new
        assert (await register.record("TAL")).item == json.loads(TALL[1] or b"")
        assert await site.check(LIGHTHOUSE) == 14


async def test_what_the_log_says_of_itself_is_passed_over(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, mint):
        await load(register, tmp_path, rsf([*ROWS, user("FAR", light("FAR"), LATER)]))
        erasure = pb.Item(key=f"erase:{DEFINED}", json=b'{"authority":"A","reason":"R"}', system=True)
        await append_items(mint, [erasure])
        rows = [*ROWS, user("FAR", light("FAR"), LATER), TALL]
        assert counts(await load(register, tmp_path, rsf([*rows[:-1], user("KIN", light("KIN"), LATER)]))) == (
            1,
            12,
            14,
        )


@pytest.mark.parametrize(
    ("fork", "line", "said"),
    [
        (
            [*NEWER[:-1], user("TIN", light("TIN"), LATER)],
            "user entry 3, at index 13, is 'TAL' of 2024-03-03T00:00:00Z",
            "here it is 'TIN' of 2024-03-03T00:00:00Z",
        ),
        (
            [*ROWS[:DEFINED], system("custodian", b'{"custodian":"B. Keeper"}'), *NEWER[DEFINED:]],
            f"system entry {DEFINED + 1}, at index {DEFINED + 2}, is 'field:height'",
            "here it is 'custodian'",
        ),
        ([*ROWS[:-2], ROWS[-1], ROWS[-2]], "user entry 1, at index 9, is 'FAR'", "here it is 'KIN'"),
    ],
    ids=["user", "system", "order"],
)
async def test_a_fork_of_either_sequence_is_refused(
    site: Site, tmp_path: Path, fork: Rows, line: str, said: str
) -> None:
    if fork[-1] == ROWS[-2]:  # the same records in another order: at the same time, so that this alone differs
        fork = [*fork[:-2], user("KIN", KIN, "2024-03-01T09:00:00Z"), ROWS[-2]]
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        await append(mint, [*HEIGHT, TALL])
        with pytest.raises(Rejected, match="holds other entries than this file") as refused:
            await load(register, tmp_path, rsf(fork))
        assert line in str(refused.value)
        assert said in str(refused.value)
        assert (refused.value.rule, str(refused.value).startswith(f"line {refused.value.line}: ")) == ("history", True)
        assert await site.check(LIGHTHOUSE) == DEFINED + 5


async def test_a_file_that_continues_what_the_log_has(site: Site, tmp_path: Path) -> None:
    more = lights(0, 3, LATER)
    file = continuing(ROWS, more)
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        assert counts(await load(register, tmp_path, file)) == (3, 0, 14)
        assert counts(await load(register, tmp_path, file)) == (0, 3, 14)
        whole = [*ROWS, *more, *lights(3, 5, LATER)]
        assert counts(await load(register, tmp_path, continuing(ROWS[:-1], [ROWS[-1], *whole[11:]]))) == (2, 4, 16)
        assert counts(await load(register, tmp_path, file)) == (0, 3, 16)
        assert await site.check(LIGHTHOUSE) == 16


async def test_a_file_that_continues_another_history(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, mint):
        for rows in (ROWS[:-1], [*ROWS[:-1], user("KIN", light("KIN"), "2024-03-02T10:30:00Z")]):
            await append(mint, rows[len((await stored(mint, LIGHTHOUSE))[0]) :])
            with pytest.raises(
                Rejected, match="line 1: the file continues a register from the root sha-256:a6ac"
            ) as no:
                await load(register, tmp_path, continuing(ROWS, lights(0, 1, LATER)))
            assert no.value.rule == "history"
        with pytest.raises(Rejected, match=r"its user entry 2, at index 10, is 'KIN'.*here it is 'L0'"):
            await load(register, tmp_path, continuing(ROWS[:-1], lights(0, 1, LATER)))


async def test_a_root_on_the_way_is_checked(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        lines = continuing(ROWS, lights(0, 2, LATER)).splitlines(keepends=True)
        with pytest.raises(Rejected, match="line 6: the root over 4 user entries is"):
            await load(register, tmp_path, b"".join([*lines[:-1], lines[0]]))


async def test_an_update_with_definitions_and_an_item_that_the_log_has(site: Site, tmp_path: Path) -> None:
    """The published form: a root, new items, new entries of both types. KIN's item is in the log already."""
    root = v1_extend(Edge(), [entry for entry, _ in ROWS]).root()
    again = Entry("KIN", LATER, "user", item_hash(KIN))
    lines = [f"assert-root-hash\t{format_hash(root)}\n".encode()]
    lines += [b"add-item\t%b\n" % item for _, item in (*HEIGHT, TALL) if item is not None]
    for entry in (*(entry for entry, _ in HEIGHT), TALL[0], again):
        digest = format_hash(entry.item_hash or b"")
        lines.append(f"append-entry\t{entry.type}\t{entry.key}\t{entry.timestamp}\t{digest}\n".encode())
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        assert counts(await load(register, tmp_path, b"".join(lines))) == (4, 0, 15)
        assert counts(await load(register, tmp_path, b"".join(lines))) == (0, 4, 15)
        assert (await stored(mint, LIGHTHOUSE))[1][-1] == KIN
        assert await site.check(LIGHTHOUSE) == 15
        unknown = lines[-1].replace(format_hash(item_hash(KIN)).encode(), format_hash(bytes(32)).encode())
        with pytest.raises(Rejected, match="line 9: no item sha-256:0000"):
            await load(register, tmp_path, b"".join([*lines, unknown]))


async def test_a_file_without_entries_continues_any_size(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        assert counts(await load(register, tmp_path, continuing(ROWS[:-1], []))) == (0, 0, 11)


async def test_an_import_that_was_cut_off_between_the_sequences(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        await append(mint, HEIGHT[:1])
        assert counts(await load(register, tmp_path, rsf(NEWER))) == (2, 12, 14)


def test_keys_of_a_logs_own_come_from_no_file(tmp_path: Path) -> None:
    item = b'{"authority":"A","reason":"R"}'
    for key in ("erase:0", "log:index", "log:key", "log:retired", "log:disavow:3", "log:", "log:whatever"):
        entry, _ = system(key, item)
        line = f"append-entry\tsystem\t{key}\t{entry.timestamp}\t{format_hash(item_hash(item))}\n".encode()
        file = tmp_path / "own.rsf"
        file.write_bytes(rsf(ROWS) + b"add-item\t%b\n" % item + line)
        for legacy in (False, True):
            with pytest.raises(Rejected, match=f"'{key}' is a key of a log's own"):
                check_file(file, legacy=legacy)


async def test_keys_of_a_logs_own_come_from_no_client(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (register, mint):
        await append(mint, ROWS)
        for key in ("log:index", "log:key", "log:retired", "log:disavow:3", "log:whatever"):
            for legacy in (False, True):
                with pytest.raises(Rejected, match="a key of the log's own") as refused:
                    await append(mint, [system(key, b'{"root":"x"}')], legacy=legacy)
                assert refused.value.rule == "key"
            with pytest.raises(Rejected, match="a key of the log's own"):
                await append_items(mint, [pb.Item(key=key, json=b'{"root":"x"}', system=True)])
        for key in ("erase:9", "log:index"):
            file = tmp_path / "own.jsonl"
            line = {"key": key, "timestamp": LATER, "type": "system", "item": {"authority": "A", "reason": "R"}}
            file.write_text(json.dumps(line) + "\n")
            with pytest.raises(Rejected, match=r"line 1: .*a key of a log's own"):
                await register.plan(file)
        assert await site.check(LIGHTHOUSE) == 11


async def test_legacy_admits_what_published_files_have(site: Site, tmp_path: Path) -> None:
    """A bare field name as a system key, which defines nothing, and an item that no entry refers to."""
    _, field = define_field("region", "integer")
    bare, _ = system("region", field)
    line = f"append-entry\tsystem\tregion\t{bare.timestamp}\t{format_hash(item_hash(field))}\n".encode()
    data = b"add-item\t%b\n" % field + line + b"add-item\t" + light("ORPHAN") + b"\n" + rsf(ROWS)
    file = tmp_path / "old.rsf"
    file.write_bytes(data)
    with pytest.raises(Rejected, match="line 2: not a valid system key: 'region'"):
        check_file(file)
    file.write_bytes(data.replace(b"\tregion\t", b"\tfield:region\t"))
    with pytest.raises(Rejected, match="line 3: no entry refers to the item"):
        check_file(file)
    async with importing(site) as (register, mint):
        result = await load(register, tmp_path, data, legacy=True)
        assert counts(result) == (12, 0, 12)
        assert (await register.schema()).fields["region"].datatype == "string"
        assert counts(await load(register, tmp_path, data, legacy=True)) == (0, 12, 12)
        await append(mint, [user("FAR", light("FAR", region="N"), LATER)])  # its mint reads it again and goes on
    async with site.running() as another:
        await append(another, [user("FAR", light("FAR", region="S"), LATER)])
    assert await site.check(LIGHTHOUSE) == 14
    warnings = check_file(tmp_path / "file.rsf", legacy=True).warnings
    assert [warning.split(": ")[0] for warning in warnings] == ["line 3", "line 2"]
    assert "line 2: region is no system key: it is kept, and defines nothing" in warnings


async def test_the_command_names_the_line(site: Site, tmp_path: Path) -> None:
    async with importing(site) as (_, mint):
        await append(mint, [*ROWS, TALL][:-1])
        file = tmp_path / "fork.rsf"
        file.write_bytes(rsf([*ROWS[:-1], user("KIN", light("KIN"))]))
        where = ("--grpc", mint.address, "--vkey", site.signers[LIGHTHOUSE].vkey)
        said = await spawn("import", LIGHTHOUSE, file, *where, MINTMARK_TOKEN=TOKEN)
        assert (said.code, "holds other entries than this file: its user entry 2" in said.err) == (1, True), said


@pytest.mark.skipif(not SHARED.exists(), reason=UNPUBLISHED)
async def test_published_versions_of_one_register(site: Site, tmp_path: Path) -> None:
    country = "mint.example/country"
    site.make_key(country)
    async with site.running() as mint, AsyncClient(mint.address, site.signers[country].vkey, token=TOKEN) as library:
        await mint.create(country, "register")
        register = library.register("country")
        history = SHARED / "history"
        assert counts(await register.apply(await register.plan(history / "country-207.rsf"))) == (219, 0, 219)
        assert counts(await register.apply(await register.plan(history / "country-208.rsf"))) == (5, 219, 224)
        with pytest.raises(Rejected, match="its user entry 208, at index 223, is"):
            await register.plan(history / "country-forked.rsf")
        # Of the same user entries and more, but its definitions were published in another order.
        with pytest.raises(Rejected, match=r"line 239: .* its system entry 13, at index 219, is 'register:country'"):
            await register.plan(SHARED / "country.rsf")
