"""Whole registers, streamed in bounded memory: the archive and RSF of v1, and every record or entry in one file.

A status cannot be taken back once a stream has begun. What a format cannot say is looked for before; what is met on
the way (a value that cannot be joined, a database that goes away) breaks the stream off, so that no client takes half
for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from mintmark.api.formats import csv, jsonl, table, trees, tsv, ttl
from mintmark.api.formats.archive import Archive
from mintmark.api.http_request import whole
from mintmark.api.negotiate import TYPES
from mintmark.api.routes import proofs
from mintmark.api.routes.context import Reply
from mintmark.errors import Malformed, Rejected
from mintmark.register import canonical
from mintmark.register.entry import Entry
from mintmark.register.item import format_hash
from mintmark.register.tables import write_jsonl
from mintmark.store.registers import bulk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from mintmark.api.models import View
    from mintmark.api.routes.context import RouteContext
    from mintmark.register.definitions import Field
    from mintmark.store.registers.register_store import EntryRow

    Body = AsyncGenerator[bytes, None]

FRESH = 60  # seconds, as v1 had it
USERS: bulk.Types = ("user",)


async def records(c: RouteContext) -> Reply:
    """Every record that stands."""
    match c.format:
        case "csv":
            return _file(c, "records", _table(c, csv.print_rows))
        case "tsv":
            return _file(c, "records", _table(c, tsv.print_rows))
        case "ttl":
            return _file(c, "records", _turtle(c))
    return _file(c, "records", _lines(c))


async def log(c: RouteContext) -> Reply:
    """Every entry with its item, as `mintmark import` reads it: JSON Lines."""
    return _file(c, "log", _log(c))


async def rsf(c: RouteContext, start: str = "0", end: str | None = None) -> Reply:
    """The register as RSF, or its user entries past number `start` up to `end`. Raises Rejected for what RSF lacks."""
    first, last = _bounds(c.view, start, end)
    below = await _index_after(c, first), await _index_after(c, last)
    types = bulk.BOTH if first == 0 else USERS
    sizes = (0 if first == 0 else below[0], c.view.size if last == c.view.entries else below[1])
    if (found := await bulk.first_inexpressible(c.store, c.log, *sizes, types)) is not None:
        what = "the end of a record" if found[1] else "an erasure"
        raise Rejected(f"RSF cannot say {what} (key {found[0]!r}): take /download-log.jsonl instead", rule="rsf")
    roots = await proofs.v1_root(c, first), await proofs.v1_root(c, last)
    return _file(c, "rsf", _rsf(c, types, sizes, roots))


async def register(c: RouteContext) -> Reply:
    """The archive: summary, items, entries, proof and checkpoint in one zip."""
    return _file(c, "zip", _archive(c))


def _file(c: RouteContext, what: str, body: Body) -> Reply:
    suffix = c.format if what in ("records", "log") else what
    stem = f"{c.view.name}-{what}" if what in ("records", "log") else c.view.name
    headers = {"Content-Disposition": f'attachment; filename="{stem}-{c.view.size}.{suffix}"'}
    if suffix == "zip":
        headers["Content-Transfer-Encoding"] = "binary"
    return Reply(TYPES[c.format], body, fresh=FRESH, headers=headers)


async def _table(c: RouteContext, print_rows: Callable[[Iterable[Sequence[str | None]]], bytes]) -> Body:
    yield print_rows([table.record_header(c.view)])
    lists = [(at, column) for at, column in enumerate(c.view.columns, len(table.ENTRY)) if column.many]
    async for rows in bulk.cells(c.store, c.log, c.view.size, c.view.columns):
        yield print_rows([_joined(lists, row) for row in rows] if lists else rows)


def _joined(lists: Iterable[tuple[int, Field]], row: Sequence[str | None]) -> list[str | None]:
    """The cells with their lists, which come as JSON, joined."""
    cells = list(row)
    for at, column in lists:
        if (text := cells[at]) is not None:
            cells[at] = table.joined(cells[3] or "", column, orjson.loads(text))
    return cells


async def _turtle(c: RouteContext) -> Body:
    yield ttl.PREFIXES.encode()
    printer = ttl.Printer(c.request.root)
    async for rows in bulk.records(c.store, c.log, c.view.size):
        yield "".join([printer.record(c.view, row) for row in rows]).encode()


async def _lines(c: RouteContext) -> Body:
    async for rows in bulk.records(c.store, c.log, c.view.size):
        yield jsonl.print_lines([trees.record(c.view, row) for row in rows])


async def _log(c: RouteContext) -> Body:
    async for rows in bulk.entries(c.store, c.log, 0, c.view.size):
        yield b"".join(write_jsonl((_entry(row), _item(row)) for row in rows))


async def _rsf(c: RouteContext, types: bulk.Types, sizes: tuple[int, int], roots: tuple[bytes, bytes]) -> Body:
    """Items of the system first, as v1 had them; one root where there is nothing between two."""
    yield _assert(roots[0])
    if roots[0] == roots[1] and types == USERS:
        return
    for type_ in types:
        async for rows in bulk.entries(c.store, c.log, *sizes, (type_,), items_once=True):
            yield b"".join([b"add-item\t%b\n" % item for row in rows if (item := _item(row)) is not None])
    for type_ in types:
        async for rows in bulk.entries(c.store, c.log, *sizes, (type_,)):
            yield "".join([_append(row) for row in rows]).encode()
    yield _assert(roots[1])


def _assert(root: bytes) -> bytes:
    return f"assert-root-hash\t{format_hash(root)}\n".encode()


def _append(row: EntryRow) -> str:
    return f"append-entry\t{row.type}\t{row.key}\t{row.timestamp}\t{format_hash(row.item_hash or b'')}\n"


async def _archive(c: RouteContext) -> Body:
    name = c.view.name
    with Archive() as archive:
        yield archive.add(f"{name}/register.json", orjson.dumps(trees.register(c.view)))
        yield archive.add(f"{name}/checkpoint", c.registers.register(name).head.note)
        proof = trees.register_proof(c.view, await proofs.v1_root(c, c.view.entries))
        yield archive.add(f"{name}/proof.json", orjson.dumps(proof))
        async for rows in bulk.entries(c.store, c.log, 0, c.view.size, items_once=True):
            found = [(f"{name}/item/{row.item_hash.hex()}.json", _item(row)) for row in rows if row.item_hash]
            yield b"".join([archive.add(path, item) for path, item in found if item is not None])
        async for rows in bulk.entries(c.store, c.log, 0, c.view.size):
            yield b"".join([archive.add(_entry_path(name, row), orjson.dumps(trees.entry(row))) for row in rows])
        for part in archive.finish():
            yield part


def _entry_path(name: str, row: EntryRow) -> str:
    return f"{name}/entry/{row.number}.json" if row.number is not None else f"{name}/system/{row.index}.json"


def _entry(row: EntryRow) -> Entry:
    return Entry(row.key, row.timestamp, "user" if row.type == "user" else "system", row.item_hash)


def _item(row: EntryRow) -> bytes | None:
    return None if row.item is None else canonical.format(row.item)


def _bounds(view: View, start: str, end: str | None) -> tuple[int, int]:
    first, last = whole(start), view.entries if end is None else whole(end)
    if first is None or last is None or not first <= last <= view.entries:
        raise Malformed(f"a range of entries is 0 <= from <= to <= {view.entries}")
    return first, last


async def _index_after(c: RouteContext, number: int) -> int:
    """The size of the log just after a user entry."""
    row = await c.store.by_number(c.log, c.view.size, number) if number else None
    return row.index + 1 if row is not None else 0
