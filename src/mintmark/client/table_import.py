"""Imports of records from CSV, TSV or JSON Lines. The mint makes the entries, and stamps those without a time.

Every row is checked against the schema, so that a bad one changes nothing, and those that the log holds already are
left out (`overlap`). Each batch has a request id made from its content and its place in the records, so an import that
was cut off is simply run again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from mintmark.client import download
from mintmark.client.import_overlap import Overlap
from mintmark.client.importing import ImportResult, PlannedEntry, check_content
from mintmark.client.sending import MAX_BATCH_ENTRIES, batches, derived_id, head_to_grow, send_batches
from mintmark.errors import Rejected
from mintmark.files import rereadable
from mintmark.formats.register import open_chunk
from mintmark.register import canonical
from mintmark.register.entry import Entry, is_published_key
from mintmark.register.item import item_hash
from mintmark.register.reduce import fold_definitions
from mintmark.register.rules import Rules
from mintmark.register.tables import read_csv, read_jsonl, read_tsv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import AppendAnswer, ItemMessage, MintClient
    from mintmark.register.definitions import Definition
    from mintmark.register.schema import Schema
    from mintmark.register.tables import TableRow
    from mintmark.tlog.checkpoint import Checkpoint


@dataclass(frozen=True)
class TablePlan:
    """An `ImportPlan` of a table; `placed` are the entries to append, each with its place in its record."""

    log: TrustedLog
    head: Checkpoint
    placed: Sequence[tuple[PlannedEntry, int]]
    present: int
    warnings: Sequence[str] = ()

    @property
    def count(self) -> int:
        """The number of entries that it appends."""
        return len(self.placed)

    def entries(self) -> Iterator[PlannedEntry]:
        """The entries that it appends, in order."""
        return (entry for entry, _ in self.placed)

    async def apply(
        self,
        client: MintClient,
        step: Callable[[int], None] = lambda entries: None,
        max_batch_entries: int = MAX_BATCH_ENTRIES,
    ) -> ImportResult:
        """Appends them."""
        messages = ((_message(entry), place) for entry, place in self.placed)
        numbered = batches(messages, 0, lambda row: row[0].ByteSize(), max_batch_entries)
        call = partial(_append, client, self.log.origin)
        head = await send_batches(client, self.log, self.head, numbered, call, step)
        return ImportResult(self.count, self.present, head)


async def plan_table(client: MintClient, log: TrustedLog, path: Path, format_: str) -> TablePlan:
    """The plan of a file's rows that the log does not hold. Raises Rejected with line and reason."""
    head = await head_to_grow(client, log)
    rules = Rules.load(await read_definitions(client, log, head), {})
    if rules.schema.register is None and format_ != "jsonl":  # whose lines may be definitions
        raise _undefined(log)
    overlap, count = Overlap(), 0
    with rereadable(path) as stream:
        check_content(stream, format_)
        for row in _checked(log, stream, format_, rules, head.size):
            overlap.add(row)
            count += 1
        await overlap.read(client, log, head)
        stream.seek(0)
        missing = overlap.missing(read_table(stream, format_, rules.schema))
        placed = [(_planned(row), place) for row, place in missing]
    return TablePlan(log, head, placed, count - len(placed))


def read_table(stream: BinaryIO, format_: str, schema: Schema) -> Iterator[TableRow]:
    """The rows of a file. Raises Rejected with the line and the reason."""
    if format_ == "jsonl":
        return read_jsonl(stream, schema)
    read = {"csv": read_csv, "tsv": read_tsv}[format_]
    return read(stream.read(), schema)


async def read_definitions(client: MintClient, log: TrustedLog, head: Checkpoint) -> dict[str, bytes]:
    """The latest item of each key that defines something, from a verified reading of the log."""
    definitions: dict[str, Definition] = {}
    verifier = await download.start_verifier(client, log, head)
    async for chunk in download.get_chunks(client, verifier, head.size):
        if not download.is_register(chunk):
            raise Rejected(f"{log.origin} is not a register; append to it with mintmark append", rule="kind")
        fold_definitions(definitions, open_chunk(chunk))
    return {key: definition.item for key, definition in definitions.items()}


async def _append(client: MintClient, origin: str, _: int, batch: Sequence[tuple[ItemMessage, int]]) -> AppendAnswer:
    """Appends items, each to become that entry of its record."""
    content = [b"%d %b" % (place, message.SerializeToString(deterministic=True)) for message, place in batch]
    return await client.append_items(origin, derived_id(origin, *content), [message for message, _ in batch])


def _undefined(log: TrustedLog) -> Rejected:
    define = f"mintmark append {log.name} --system --key"
    return Rejected(
        f"{log.origin} is not defined yet; define each field with `{define} field:NAME --item JSON`, then the register "
        f"""with `{define} register:{log.name} --item '{{"register":"{log.name}","fields":[…]}}'`""",
        rule="schema",
    )


def _checked(log: TrustedLog, stream: BinaryIO, format_: str, rules: Rules, size: int) -> Iterator[TableRow]:
    """The rows of a file, each admitted at its place. Raises Rejected with line and reason."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for number, row in enumerate(read_table(stream, format_, rules.schema)):
        try:
            if row.type == "system" and not is_published_key(row.key):
                raise Rejected(f"{row.key} is a key of a log's own, which no file brings into another", rule="key")
            rules, _ = rules.admit(*_entry(row, now), now=now, size=size + number)
        except Rejected as fault:
            error = _undefined(log) if rules.schema.register is None and row.type == "user" else fault
            raise Rejected(f"line {row.line}: {error}", rule=error.rule, field=error.field, line=row.line) from None
        yield row


def _entry(row: TableRow, now: str) -> tuple[Entry, bytes | None]:
    if row.item is None and row.item_hash is not None:
        raise Rejected("the item was erased, so its entry cannot be made again", rule="erased")
    item = None if row.item is None else canonical.format(row.item)
    return Entry(row.key, row.timestamp or now, row.type, item_hash(item) if item is not None else None), item


def _planned(row: TableRow) -> PlannedEntry:
    item = None if row.item is None else canonical.format(row.item)
    return PlannedEntry(row.key, item, row.timestamp, row.type)


def _message(entry: PlannedEntry) -> ItemMessage:
    from mintmark.client.mint_client import item_message

    return item_message(entry.key, entry.item or b"", entry.timestamp, system=entry.type == "system")
