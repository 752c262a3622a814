"""A register as it was at some size of its log: every entry verified, and held in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import orjson

from mintmark.client import download
from mintmark.client.audit import check_gaps
from mintmark.errors import Gone, Malformed, NotAvailableYet, NotFound, Rejected
from mintmark.formats.register import open_chunk
from mintmark.register.datatypes import is_timestamp
from mintmark.register.reduce import Erasure, ItemGaps, fold_erasures, fold_schema, stands
from mintmark.register.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.register.entry import Row
    from mintmark.register.item import Item
    from mintmark.tlog.checkpoint import Checkpoint

When = int | str | datetime  # a size, or a time: YYYY-MM-DDTHH:MM:SSZ or a datetime with a time zone


class RecordVersion(NamedTuple):
    """An entry of a record.

    `item` is None where the record ended, where the item was erased since (`erased`; `erasure` names the entry that did
    it), and where its bytes are no item by our grammar: they are `unreadable`.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index
    key: str
    timestamp: str
    item: Item | None
    erased: bool
    erasure: Erasure | None = None
    unreadable: bytes | None = None


class RegisterSnapshot:
    """The first `size` entries of a register under the signed `head`; `rows` are all that the head signs.

    Nothing in it is the word of a server: each entry and item leads to the signed root, and none is left out.
    """

    def __init__(self, head: Checkpoint, rows: Sequence[Row], size: int) -> None:
        self.head, self.size = head, size
        self._rows, self._all = rows[:size], rows

    def records(self) -> dict[str, RecordVersion]:
        """The latest entry of each record that stands, in the order in which these were appended."""
        return {key: self._version(row) for key, row in self._latest.items() if not _ended(row)}

    def record(self, key: str) -> RecordVersion:
        """The latest entry of a record that stands.

        Raises:
            NotFound: there is no such record, or it ended.
            Gone: its item was erased.
        """
        row = self._latest.get(key)
        if row is None:
            raise NotFound(f"{self.head.origin} has no record {key!r} at size {self.size}")
        if _ended(row):
            raise NotFound(f"record {key!r} of {self.head.origin} has ended, with entry {row.index}")
        version = self._version(row)
        if version.erasure is not None:
            raise Gone(f"the item of record {key!r} of {self.head.origin}, entry {row.index}, was {version.erasure}")
        return version

    def history(self, key: str) -> list[RecordVersion]:
        """All entries of a record, oldest first. Raises NotFound where there is none."""
        found = [self._version(row) for row in self._rows if _is_of(row, key)]
        if not found:
            raise NotFound(f"{self.head.origin} has no record {key!r} at size {self.size}")
        return found

    def schema(self) -> Schema:
        """The definitions in force. Its `register` is None before the register is defined."""
        return fold_schema(Schema(), self._rows)

    def _version(self, row: Row) -> RecordVersion:
        if row.entry is None:
            raise AssertionError("a record's rows have entries")
        item = orjson.loads(row.item) if row.item else None
        erasure = self._erasures[row.index] if row.missing else None
        return RecordVersion(
            row.index, row.entry.key, row.entry.timestamp, item, row.missing, erasure, row.unreadable
        )  # fmt: skip

    @cached_property
    def _erasures(self) -> Mapping[int, Erasure]:
        """The erasures of the whole log, by the index of the erased item."""
        found: dict[int, int] = {}
        fold_erasures(found, self._all)
        items = ((index, by, self._all[by].item) for index, by in found.items())
        return {index: Erasure.of(by, orjson.loads(item) if item else None) for index, by, item in items}

    @cached_property
    def _latest(self) -> Mapping[str, Row]:
        latest: dict[str, Row] = {}
        for row in self._rows:
            if row.entry is not None and row.entry.type == "user":
                latest.pop(row.entry.key, None)
                latest[row.entry.key] = row
        return latest


async def read_snapshot(client: MintClient, log: TrustedLog, when: When | None = None) -> RegisterSnapshot:
    """Reads a register, all of it, and cuts it at a size or a time; None is the present head.

    All is read because an item that is missing may have been erased by an entry after the cut.

    Raises:
        NotAvailableYet: a size beyond the head.
        Malformed: no time.
        Rejected: an opaque log.
        Untrusted: an entry, an item or a proof that does not lead to the signed root, or an item that is missing and
            that no entry erases.
    """
    head = await download.get_head(client, log)
    rows = await _read_rows(client, log, head)
    if when is None:
        return RegisterSnapshot(head, rows, head.size)
    if not isinstance(when, int):
        return RegisterSnapshot(head, rows, size_at(rows, _timestamp(when)))
    if not 0 <= when <= head.size:
        raise NotAvailableYet(f"size {when} is not there; {log.origin} has {head.size} entries")
    return RegisterSnapshot(head, rows, when)


def size_at(rows: Sequence[Row], time: str) -> int:
    """The number of entries up to a time.

    User entries count by their own clock, which never runs backwards; the system entries after them, by theirs, up to
    the first that is younger.
    """
    users = [row for row in rows if row.entry is not None and row.entry.type == "user"]
    size = next((row.index + 1 for row in reversed(users) if row.entry and row.entry.timestamp <= time), 0)
    while size < len(rows) and (entry := rows[size].entry) is not None and entry.timestamp <= time:
        size += 1
    return size


async def _read_rows(client: MintClient, log: TrustedLog, head: Checkpoint) -> list[Row]:
    rows: list[Row] = []
    gaps = ItemGaps()
    verifier = await download.start_verifier(client, log, head)
    async for chunk in download.get_chunks(client, verifier, head.size):
        if not download.is_register(chunk):
            raise Rejected(f"{log.origin} is not a register: it has entries, and no records", rule="kind")
        opened = open_chunk(chunk)
        gaps.fold(opened)
        rows += opened
    check_gaps(gaps, head)
    return rows


def _timestamp(time: str | datetime) -> str:
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise Malformed(f"{time} has no time zone; say datetime(…, tzinfo=UTC)")
        return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not is_timestamp(time):
        raise Malformed(f"{time!r} is not a time; write YYYY-MM-DDTHH:MM:SSZ")
    return time


def _is_of(row: Row, key: str) -> bool:
    return row.entry is not None and row.entry.type == "user" and row.entry.key == key


def _ended(row: Row) -> bool:
    return row.entry is not None and not stands(row.entry)
