"""Writes verified chunks to a file: one function a format. Each writes as it reads where the format lets it.

RSF puts all items before all entries, so the whole register is held in memory. Tables keep items in a temporary file
and their places in memory, because a record's last entry and the last columns may come at the end.

A line of JSON Lines, or of `json_lines`, which keeps the indices:

    {"index":7,"entry":{…},"item":{…}}     a register entry; the item is null for a tombstone, and where it is not there
    {"index":7,"base64":"…"}               anything else

An item that is not there was erased; one that is unreadable, bytes that are no item by our grammar, is beside in
base64: `"item":null,"item-base64":"…"`.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from base64 import b64encode
from typing import TYPE_CHECKING, BinaryIO

from mintmark.client.download import is_register, leaves
from mintmark.errors import Rejected
from mintmark.formats.register import open_chunk
from mintmark.register.cells import print_csv, print_tsv
from mintmark.register.item import parse_item
from mintmark.register.reduce import fold_schema, stands
from mintmark.register.rsf import write_rsf
from mintmark.register.schema import Schema
from mintmark.register.tables import record_cells, write_jsonl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from mintmark.register.cells import PrintRows
    from mintmark.register.entry import Entry, Row
    from mintmark.register.item import Item
    from mintmark.tlog.trust import VerifiedChunk

    Chunks = AsyncIterator[VerifiedChunk]
    Write = Callable[[Chunks, BinaryIO], Awaitable[list[str]]]  # returns warnings


async def export_jsonl(chunks: Chunks, stream: BinaryIO) -> list[str]:
    """A line an entry, which `import` reads; or the bytes of an opaque log's entries in base64."""
    async for chunk in chunks:
        stream.writelines(_jsonl(chunk) if is_register(chunk) else json_lines(chunk))
    return []


async def export_rsf(chunks: Chunks, stream: BinaryIO) -> list[str]:
    """The register as an RSF file, with its published roots. Raises Rejected for what RSF cannot say."""
    stream.writelines(write_rsf([row async for chunk in chunks for row in _readable(chunk)]))
    return []


async def export_csv(chunks: Chunks, stream: BinaryIO) -> list[str]:
    """The records that stand, a column a field of the register, RFC 4180. Warns of each whose item is not there."""
    return await _export_table(chunks, stream, print_csv)


async def export_tsv(chunks: Chunks, stream: BinaryIO) -> list[str]:
    """The records that stand, in TSV that is quoted as CSV; warns as `export_csv`."""
    return await _export_table(chunks, stream, print_tsv)


WRITERS: dict[str, Write] = {"jsonl": export_jsonl, "rsf": export_rsf, "csv": export_csv, "tsv": export_tsv}


def json_lines(chunk: VerifiedChunk) -> Iterator[bytes]:
    """The new entries of a chunk as JSON Lines with indices; canonical bytes go through as they were hashed."""
    for index, leaf, row in numbered_rows(chunk):
        if row is None or row.entry is None:
            yield b'{"index":%d,"base64":"%b"}\n' % (index, b64encode(leaf))
        else:
            beside = b',"item-base64":"%b"' % b64encode(row.unreadable) if row.unreadable is not None else b""
            yield b'{"index":%d,"entry":%b,"item":%b%b}\n' % (index, leaf, row.item or b"null", beside)


def numbered_rows(chunk: VerifiedChunk) -> Iterator[tuple[int, bytes, Row | None]]:
    """(index, leaf, row) of each new entry of a chunk; the row is None in an opaque log."""
    rows = iter(open_chunk(chunk)) if is_register(chunk) else None
    for index, leaf in leaves(chunk):
        yield index, leaf, next(rows) if rows else None


def _register_rows(chunk: VerifiedChunk) -> list[tuple[Row, Entry]]:
    if not is_register(chunk):
        raise Rejected("an opaque log has entries but no records; export it as jsonl", rule="kind")
    return [(row, row.entry) for row in open_chunk(chunk) if row.entry is not None]


def _jsonl(chunk: VerifiedChunk) -> Iterator[bytes]:
    rows = _register_rows(chunk)
    unreadable = {at: row.unreadable for at, (row, _) in enumerate(rows) if row.unreadable is not None}
    return write_jsonl([(entry, row.item) for row, entry in rows], unreadable)


def _readable(chunk: VerifiedChunk) -> Iterator[tuple[Entry, bytes | None]]:
    for row, entry in _register_rows(chunk):
        if row.unreadable is not None:
            raise Rejected(f"RSF cannot say an unreadable item (key {entry.key!r}): export JSON Lines", rule="rsf")
        yield entry, row.item


async def _export_table(chunks: Chunks, stream: BinaryIO, print_rows: PrintRows) -> list[str]:
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as table:
        records = _LatestItems(file)
        async for chunk in chunks:
            for row, entry in _register_rows(chunk):
                records.add(row, entry)
        schema = records.schema
        if schema.register is None and records.empty:
            return []
        if schema.register is None:
            raise Rejected("the register is not defined yet, so its table has no columns", rule="schema")
        table.write(print_rows([[column.name for column in schema.columns]]))
        for key, item in records.items(name := schema.register.name):
            if item.get(name) != key:
                raise Rejected(
                    f"record {key!r}: its item is of {item.get(name)!r}, which a table cannot say; use jsonl"
                )
            table.write(print_rows([record_cells(schema.columns, key, item)]))
        table.seek(0)  # nothing was refused
        shutil.copyfileobj(table, stream)
        return [f"the item of record {key!r} {why}; only its key is written" for key, why in records.absent.items()]


class _LatestItems:
    """The latest item of each record that stands, kept in a file."""

    def __init__(self, file: io.BufferedRandom) -> None:
        self.schema = Schema()
        self._file, self._added = file, False
        self.absent: dict[str, str] = {}  # the records whose item is not there, and why
        self._places: dict[str, tuple[int, int] | None] = {}  # offset and length; None: it is not there

    @property
    def empty(self) -> bool:
        """True if the log has no entry at all: then there is nothing to write, and no columns are missed."""
        return not self._added

    def add(self, row: Row, entry: Entry) -> None:
        self._added = True
        if entry.type == "system":
            self.schema = fold_schema(self.schema, [row])
            return
        self._places.pop(entry.key, None)
        self.absent.pop(entry.key, None)
        if row.item is not None:
            self._places[entry.key] = (self._file.seek(0, io.SEEK_END), len(row.item))
            self._file.write(row.item)
        elif stands(entry):
            self._places[entry.key] = None
            self.absent[entry.key] = "was erased" if row.missing else "cannot be read"

    def items(self, key_field: str) -> Iterator[tuple[str, Item]]:
        for key, place in self._places.items():
            if place is None:
                yield key, {key_field: key}
            else:
                self._file.seek(place[0])
                yield key, parse_item(self._file.read(place[1]))
