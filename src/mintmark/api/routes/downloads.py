"""Whole registers, streamed in bounded memory: the archive and RSF of v1, and every record or entry in one file.

A status cannot be taken back once a stream has begun. Entries that a format cannot represent are looked for before. A
failure on the way (a record that breaks its own schema, a database that goes away) breaks the stream off, so that no
client takes half of a file for all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mintmark.api.formats import CONTENT_TYPES, tables, trees, turtle
from mintmark.api.formats.archive import Archive
from mintmark.api.requests import parse_number
from mintmark.api.responses import Download, cache_control, head_headers
from mintmark.api.routes import proofs
from mintmark.errors import Malformed, Rejected
from mintmark.register import canonical
from mintmark.register.cells import print_csv, print_tsv
from mintmark.register.entry import Entry
from mintmark.register.rsf import entry_line, item_line, root_line
from mintmark.register.tables import ENTRY_COLUMNS, record_cell, write_jsonl
from mintmark.store.registers import bulk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from mintmark.api.models import View
    from mintmark.api.requests import RouteContext
    from mintmark.register.cells import Cells, PrintRows
    from mintmark.register.definitions import Field
    from mintmark.store.registers.register_store import EntryRow

    Parts = AsyncGenerator[bytes, None]

MAX_AGE_SECONDS = 60  # as v1 had it
USER_TYPES: bulk.Types = ("user",)


async def records(c: RouteContext) -> Download:
    """Every record that stands. Raises Rejected for one with an empty string where CSV or TSV is asked for."""
    if c.format in ("csv", "tsv"):
        found = await bulk.with_value(c.store, c.log, c.view.size, [column.name for column in c.view.columns], "")
        if found is not None:
            tables.record_row(c.view.columns, found)  # raises
    match c.format:
        case "csv":
            return _file(c, "records", _table(c, print_csv))
        case "tsv":
            return _file(c, "records", _table(c, print_tsv))
        case "ttl":
            return _file(c, "records", _turtle(c))
    return _file(c, "records", _lines(c))


async def log(c: RouteContext) -> Download:
    """Every entry with its item, as JSON Lines that `mintmark import` reads; an unreadable item in base64."""
    return _file(c, "log", _log(c))


async def rsf(c: RouteContext, start: str = "0", end: str | None = None) -> Download:
    """The register as RSF, or its user entries past number `start` up to `end`.

    Entries by which the log speaks of itself are left out. Raises Rejected for an ended record, an erasure or an
    unreadable item, which RSF cannot represent.
    """
    first, last = _bounds(c.view, start, end)
    below = await _index_after(c, first), await _index_after(c, last)
    types = bulk.BOTH if first == 0 else USER_TYPES
    sizes = (0 if first == 0 else below[0], c.view.size if last == c.view.entries else below[1])
    if (found := await bulk.first_inexpressible(c.store, c.log, *sizes, types)) is not None:
        kind = "the end of a record" if found.ended else "an unreadable item" if found.unreadable else "an erasure"
        raise Rejected(f"RSF cannot say {kind} (key {found.key!r}): take /download-log.jsonl instead", rule="rsf")
    roots = await proofs.v1_root(c, first), await proofs.v1_root(c, last)
    return _file(c, "rsf", _rsf(c, types, sizes, roots))


async def register(c: RouteContext) -> Download:
    """The archive: summary, items, entries, proof and checkpoint in one zip."""
    return _file(c, "zip", _archive(c))


def _file(c: RouteContext, kind: str, parts: Parts) -> Download:
    named = kind in ("records", "log")
    suffix = c.format if named else kind
    stem = f"{c.view.name}-{kind}" if named else c.view.name
    headers = {
        "Cache-Control": cache_control(200, MAX_AGE_SECONDS),
        "Content-Disposition": f'attachment; filename="{stem}-{c.view.size}.{suffix}"',
        **head_headers(c.view.origin, c.view.size, c.view.root),
    }
    if suffix == "zip":
        headers["Content-Transfer-Encoding"] = "binary"
    return Download(parts, headers, CONTENT_TYPES[c.format])


async def _table(c: RouteContext, print_rows: PrintRows) -> Parts:
    yield print_rows([tables.record_header(c.view)])
    lists = [(at, column) for at, column in enumerate(c.view.columns, len(ENTRY_COLUMNS)) if column.many]
    async for rows in bulk.cells(c.store, c.log, c.view.size, c.view.columns):
        text = print_rows([_joined(lists, row) for row in rows] if lists else rows)
        if b"[" in text and (b'["' in text or b"[]" in text):  # a list as Postgres prints it, mostly where one belongs
            found = await bulk.numbered(c.store, c.log, c.view.size, int(rows[0][0]), len(rows))
            text = print_rows([tables.record_row(c.view.columns, row) for row in found])
        yield text


def _joined(lists: Iterable[tuple[int, Field]], row: Cells) -> Cells:
    """The cells of a row, with its lists joined; they come as JSON."""
    cells: list[str | None] | None = None
    for at, column in lists:
        if (text := row[at]) is not None:
            cells = list(row) if cells is None else cells
            cells[at] = record_cell(column, row[3] or "", orjson.loads(text))
    return row if cells is None else cells


async def _turtle(c: RouteContext) -> Parts:
    yield turtle.PREFIXES.encode()
    printer = turtle.TurtlePrinter(c.request.site_url)
    async for rows in bulk.records(c.store, c.log, c.view.size):
        yield "".join([printer.record(c.view, row) for row in rows]).encode()


async def _lines(c: RouteContext) -> Parts:
    async for rows in bulk.records(c.store, c.log, c.view.size):
        yield trees.print_jsonl([trees.record(c.view, row) for row in rows])


async def _log(c: RouteContext) -> Parts:
    async for rows in bulk.entries(c.store, c.log, 0, c.view.size):
        content = await _unreadable(c, rows)
        unreadable = {at: content[row.index] for at, row in enumerate(rows) if row.index in content}
        yield b"".join(write_jsonl(((_entry(row), _item(row)) for row in rows), unreadable))


async def _rsf(c: RouteContext, types: bulk.Types, sizes: tuple[int, int], roots: tuple[bytes, bytes]) -> Parts:
    """System items first, as v1 had them; one root alone where nothing lies between two."""
    yield root_line(roots[0])
    if roots[0] == roots[1] and types == USER_TYPES:
        return
    for type_ in types:
        async for rows in bulk.entries(c.store, c.log, *sizes, (type_,), own=False, items_once=True):
            yield b"".join([item_line(item) for row in rows if (item := _item(row)) is not None])
    for type_ in types:
        async for rows in bulk.entries(c.store, c.log, *sizes, (type_,), own=False):
            yield b"".join([entry_line(_entry(row)) for row in rows])
    yield root_line(roots[1])


async def _archive(c: RouteContext) -> Parts:
    name = c.view.name
    with Archive() as archive:
        yield archive.add(f"{name}/register.json", orjson.dumps(trees.published_register(c.view)))
        yield archive.add(f"{name}/checkpoint", c.registers.register(name).head.note)
        proof = trees.register_proof(c.view, await proofs.v1_root(c, c.view.entries))
        yield archive.add(f"{name}/proof.json", orjson.dumps(proof))
        async for rows in bulk.entries(c.store, c.log, 0, c.view.size, items_once=True):
            unreadable = await _unreadable(c, rows)
            yield b"".join([archive.add(*_item_file(name, row, unreadable)) for row in rows])
        async for rows in bulk.entries(c.store, c.log, 0, c.view.size):
            yield b"".join([archive.add(_entry_path(name, row), orjson.dumps(_tree(row))) for row in rows])
        for part in archive.finish():
            yield part


def _tree(row: EntryRow) -> dict[str, Any]:
    """An entry as v1 published it; v1 had no system entries."""
    return trees.entry(row) if row.number is None else trees.published_entry(row)


def _entry_path(name: str, row: EntryRow) -> str:
    return f"{name}/entry/{row.number}.json" if row.number is not None else f"{name}/system/{row.index}.json"


def _item_file(name: str, row: EntryRow, unreadable: Mapping[int, bytes]) -> tuple[str, bytes]:
    """The path and content of an item's file. What is no item is no JSON either, as far as we know."""
    stem = f"{name}/item/{(row.item_hash or b'').hex()}"
    return (f"{stem}.bin", unreadable[row.index]) if row.unreadable else (f"{stem}.json", _item(row) or b"")


async def _unreadable(c: RouteContext, rows: Sequence[EntryRow]) -> Mapping[int, bytes]:
    """The bytes of the unreadable items, by index."""
    indices = [row.index for row in rows if row.unreadable]
    return await c.store.item_bytes(c.log, indices) if indices else {}


def _entry(row: EntryRow) -> Entry:
    return Entry(row.key, row.timestamp, "user" if row.type == "user" else "system", row.item_hash)


def _item(row: EntryRow) -> bytes | None:
    return None if row.item is None else canonical.format(row.item)


def _bounds(view: View, start: str, end: str | None) -> tuple[int, int]:
    first, last = parse_number(start), view.entries if end is None else parse_number(end)
    if first is None or last is None or not first <= last <= view.entries:
        raise Malformed(f"a range of entries is 0 <= from <= to <= {view.entries}")
    return first, last


async def _index_after(c: RouteContext, number: int) -> int:
    """The size of the log just after a user entry."""
    row = await c.store.by_number(c.log, c.view.size, number) if number else None
    return row.index + 1 if row is not None else 0
