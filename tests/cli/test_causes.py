"""Messages name the cause: what a file really is, which rule a key breaks, what a database did."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import make_conninfo

from mintmark.cli import exits
from mintmark.config.key_files import format_key_lines
from mintmark.errors import Rejected, Unavailable
from mintmark.mint.keys import read_keys
from mintmark.register.tables import read_jsonl
from mintmark.store.connection.pool import open_pool
from mintmark.tlog.note import generate_skey
from mintmark.tlog.text import line_fault, other_content
from tests.support.commands import one_sentence, spawn
from tests.support.lights import DEFINED, define, light
from tests.support.mint_site import LIGHTHOUSE, TOKEN, Site, create, stored
from tests.support.places import mirror_config, register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mintmark.client.mint_client import MintClient

LOG = generate_skey("log.example/country")
CSV = "lighthouse,name\nA,The A\n"
HTML = b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n"


def workbook() -> bytes:
    """The beginning of an Excel workbook."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return data.getvalue()


OTHER = {
    "UTF-16": (CSV.encode("utf-16"), "UTF-16 text"),
    "UTF-16 of a big machine": (b"\xfe\xff" + CSV.encode("utf-16-be"), "UTF-16 text"),
    "UTF-16 without a mark": (CSV.encode("utf-16-le"), "UTF-16 text, or binary"),
    "a workbook": (workbook(), "a zip archive, as Excel workbooks are"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an old Excel workbook"),
    "gzip": (gzip.compress(CSV.encode()), "compressed by gzip"),
    "PDF": (b"%PDF-1.7\n", "a PDF"),
    "HTML": (HTML, "an HTML page"),
    "HTML of old": (b"\n <HTML><HEAD>", "an HTML page"),
    "NUL": (b"lighthouse,name\nA,The\0A\n", "UTF-16 text, or binary"),
}


@pytest.fixture
async def defined(site: Site) -> AsyncIterator[tuple[MintClient, tuple[str, ...]]]:
    async with site.running() as client:
        await create(client)
        await define(client)
        yield client, ("--grpc", client.address, "--vkey", site.signers[LIGHTHOUSE].vkey)


async def import_(where: tuple[str, ...], tmp_path: Path, format_: str, data: bytes) -> object:
    file = tmp_path / f"file.{format_}"
    file.write_bytes(data)
    return await spawn("import", LIGHTHOUSE, file, *where, MINTMARK_TOKEN=TOKEN)


@pytest.mark.parametrize("what", OTHER)
async def test_a_file_that_is_something_else(
    defined: tuple[MintClient, tuple[str, ...]], tmp_path: Path, what: str
) -> None:
    _, where = defined
    data, said = OTHER[what]
    for format_ in ("csv", "tsv", "jsonl", "rsf"):
        result = await import_(where, tmp_path, format_, data)
        one_sentence(result, exits.ERROR, f"line 1: the file is {said}; save it as {format_.upper()}, in UTF-8")


@pytest.mark.parametrize("what", OTHER)
def test_a_key_a_policy_or_a_proof_that_is_something_else(tmp_path: Path, what: str) -> None:
    data, said = OTHER[what]
    assert (other_content(data), line_fault(data)) == (said, f"it is {said}")
    file = tmp_path / "key"
    file.write_bytes(data)
    with pytest.raises(ValueError, match="is not a secret key: it is "):
        read_keys(file)


async def test_html_where_a_key_a_policy_or_a_proof_belongs(tmp_path: Path) -> None:
    page, entry = tmp_path / "page", tmp_path / "entry"
    page.write_bytes(HTML)
    entry.write_bytes(b"entry")
    said = await spawn("checkpoint", "country", "--grpc", "127.0.0.1:1", "--vkey", page)
    one_sentence(said, exits.ERROR, f"{page} is not a public key: it is an HTML page")
    for options in (("--policy", page), ("--vkey", LOG.vkey)):
        what = "a policy" if "--policy" in options else "a proof"
        said = await spawn("verify", page, "--entry", entry, *options)
        one_sentence(said, exits.ERROR, f"{page} is not {what}: it is an HTML page")


@pytest.mark.parametrize(("form", "said"), [
    ("{}\r\n", "line 1 ends with CRLF, as Windows saves it; save it with LF alone"),
    ("{0}\n{0}\r\n", "line 2 ends with CRLF"),
    ("{}\r", "line 1 ends with CRLF"),
    ("{} \n", "a blank before or behind the key"),
    (" {}\n", "blank"),
    ("{}\n\n", "an empty line where a key belongs"),
    ("\ufeff{}\n", "it begins with a byte order mark; save it without one"),
    ("", "it is empty"),
])  # fmt: skip
def test_a_key_file_that_an_editor_changed(tmp_path: Path, form: str, said: str) -> None:
    from mintmark.client.keys import read_vkeys

    file = tmp_path / "file"
    file.write_bytes(form.format(LOG.vkey).encode())
    with pytest.raises(ValueError, match="is not a public key") as caught:
        read_vkeys(file)
    assert said in str(caught.value)
    file.write_bytes(form.format(LOG.skey).encode())
    with pytest.raises(ValueError, match="is not a secret key") as caught:
        read_keys(file)
    assert said in str(caught.value) or (form in ("{}\n\n",) and "not a signer key" in str(caught.value))
    assert LOG.skey[-20:] not in str(caught.value)


def test_what_is_text_is_taken_for_text(tmp_path: Path) -> None:
    for data in (b"", b"PK", b"<div>", b"key,name\n", format_key_lines([LOG.vkey]), "äöü".encode(), b"\xef\xbb\xbfa"):
        assert other_content(data) == ""
    assert line_fault(format_key_lines([LOG.vkey])) == ""


@pytest.mark.parametrize(
    ("separator", "format_"), [(";", "csv"), ("\t", "csv"), ("|", "csv"), (";", "tsv"), (",", "tsv")]
)
async def test_a_table_with_other_separators(
    defined: tuple[MintClient, tuple[str, ...]], tmp_path: Path, separator: str, format_: str
) -> None:
    _, where = defined
    result = await import_(where, tmp_path, format_, CSV.replace(",", separator).encode())
    expected = f"its columns seem to be separated by {separator!r}: save the table with commas (CSV) or tabs (TSV)"
    one_sentence(result, exits.ERROR, "line 1: ", expected)


async def test_a_mark_in_json_lines_is_skipped(defined: tuple[MintClient, tuple[str, ...]], tmp_path: Path) -> None:
    client, where = defined
    result = await import_(where, tmp_path, "jsonl", b"\xef\xbb\xbf" + light("BM1") + b"\n" + light("BM2") + b"\n")
    assert result.code == exits.OK, result
    assert (await stored(client, LIGHTHOUSE))[1][DEFINED:] == [light("BM1"), light("BM2")]
    with pytest.raises(Rejected, match="line 2"):
        list(read_jsonl(light("A") + b"\n\xef\xbb\xbf" + light("B")))


async def test_a_json_array_is_told_from_json_lines(
    defined: tuple[MintClient, tuple[str, ...]], tmp_path: Path
) -> None:
    _, where = defined
    result = await import_(where, tmp_path, "jsonl", b"[\n" + light("A") + b"]\n")
    one_sentence(result, exits.ERROR, "line 1: the file is one JSON array; JSON Lines has an object a line")


@pytest.mark.parametrize("key", ["A B", "-A", "A--B", "A:B", "", "é"])
async def test_a_key_that_breaks_the_rule_is_told_the_rule(
    defined: tuple[MintClient, tuple[str, ...]], tmp_path: Path, key: str
) -> None:
    _, where = defined
    options = ("--key", key, "--item", light(key or "A").decode())
    said = await spawn("append", LIGHTHOUSE, *options, *where, MINTMARK_TOKEN=TOKEN)
    rule = "is not letters, digits and single - _ . / between them, at most 255 in all"
    one_sentence(said, exits.ERROR, "not a valid user key", rule)
    if key:
        result = await import_(where, tmp_path, "csv", f"lighthouse\n{key}\n".encode())
        one_sentence(result, exits.ERROR, "line 2: not a valid user key", rule)


async def test_a_statement_that_took_too_long_is_no_database_that_is_away(read_db: str) -> None:
    async with open_pool(make_conninfo(read_db, options="-c statement_timeout=20"), 1) as pool:
        with pytest.raises(Unavailable, match=r"gave up on a statement: .*statement timeout; raise") as caught:
            await pool.fetch("select pg_sleep(5)")
    assert "cannot be reached" not in str(caught.value)
    waiting = make_conninfo(read_db, options="-c lock_timeout=20")
    async with open_pool(waiting, 2) as pool, pool.connection() as holder, holder.transaction():
        await holder.execute("lock table log")
        with pytest.raises(Unavailable, match=r"gave up on a statement: .*lock timeout"):
            await pool.fetch("select * from log")


async def test_a_database_that_is_away_is_named(read_db: str, tmp_path: Path) -> None:
    away = make_conninfo(read_db, host="127.0.0.1", port=1, dbname="harbour")
    config = mirror_config(tmp_path, away, ["127.0.0.1:1"], register(count=1))
    for command in (("status",), ("rebuild", "thing"), ("fsck",)):
        said = await spawn(*command, "--config", config)
        one_sentence(said, exits.NOT_YET, "the database cannot be reached: ", "(database harbour)")


async def test_a_refusal_of_one_entry_names_its_index(defined: tuple[MintClient, tuple[str, ...]]) -> None:
    _, where = defined
    item = '{"lighthouse":"A","nosuch":"x"}'
    said = await spawn("append", LIGHTHOUSE, "--key", "A", "--item", item, *where, "--json", MINTMARK_TOKEN=TOKEN)
    error = json.loads(said.err)["error"]
    assert (said.code, error["field"], error["index"]) == (exits.ERROR, "nosuch", 0)
