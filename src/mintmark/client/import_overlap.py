"""The rows of a table that a register holds already: those that its records end with.

A table says how records are to be, not which entries to append. So a row is there already where it is its record's
last entry, and several rows of one record where they are, in this order, its last entries. An import that was cut off
goes on where it ended; a table without changes appends nothing; an older table, after a newer one, is appended again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.client import download
from mintmark.errors import Rejected
from mintmark.formats.register import open_chunk
from mintmark.register import canonical
from mintmark.register.item import SALT, item_hash, parse_item
from mintmark.register.reduce import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.register.entry import Row
    from mintmark.register.item import Item
    from mintmark.register.tables import TableRow
    from mintmark.tlog.checkpoint import Checkpoint

Key = tuple[str, str]  # type, key


class RecordState(NamedTuple):
    """The state of a record after an entry or a row: the hash of its item but for a salt, empty for a tombstone."""

    digest: bytes
    timestamp: str | None  # None: any


@dataclass
class _Record:
    """The rows that a table has of a record, and the last entries that the log has of it, no more than those."""

    rows: list[RecordState] = field(default_factory=list)
    last: deque[RecordState] = field(default_factory=deque)
    count: int = 0  # of its entries
    held: int = 0  # of its rows, by the log
    seen: int = 0  # of its rows, by `missing`


class Overlap:
    """The common rows of a table and a log: `add` each row, `read` the log, then iterate over those `missing`."""

    def __init__(self) -> None:
        self._records: dict[Key, _Record] = {}

    def add(self, row: TableRow) -> None:
        """Notes a row of the table, in order."""
        self._records.setdefault((row.type, row.key), _Record()).rows.append(_of_row(row))

    async def read(self, client: MintClient, log: TrustedLog, head: Checkpoint) -> None:
        """Reads the log up to a head, verified."""
        for record in self._records.values():
            record.last = deque(maxlen=len(record.rows))
        verifier = await download.start_verifier(client, log, head)
        async for chunk in download.get_chunks(client, verifier, head.size):
            for row in open_chunk(chunk):
                self._note(row)
        for record in self._records.values():
            record.held = _held(record.rows, list(record.last))

    def _note(self, row: Row) -> None:
        if row.entry is not None and (record := self._records.get(key_of(row.entry))) is not None:
            record.last.append(RecordState(_digest(row), row.entry.timestamp))
            record.count += 1

    def missing(self, rows: Iterable[TableRow]) -> Iterator[tuple[TableRow, int]]:
        """The table's rows that the log does not hold, each with its place in its record. To be called once.

        Raises Rejected for a row that was not added: the file was changed while it was read.
        """
        for row in rows:
            if (record := self._records.get((row.type, row.key))) is None:
                raise Rejected("the file changed while it was read; import it again", rule="table", line=row.line)
            if record.seen >= record.held:
                yield row, record.count + record.seen - record.held
            record.seen += 1


def _held(rows: list[RecordState], last: list[RecordState]) -> int:
    """The number of the first rows that are the last entries."""
    for count in range(min(len(rows), len(last)), 0, -1):
        if all(map(_same, rows[:count], last[-count:])):
            return count
    return 0


def _same(row: RecordState, entry: RecordState) -> bool:
    return row.digest == entry.digest and row.timestamp in (None, entry.timestamp)


def _of_row(row: TableRow) -> RecordState:
    return RecordState(b"" if row.item is None else _without_salt(row.item), row.timestamp)


def _digest(row: Row) -> bytes:
    """By its hash where there is no salt, so that an item that was erased is known, too."""
    if row.item is not None and SALT.encode() in row.item:
        return _without_salt(parse_item(row.item))
    return (row.entry.item_hash if row.entry else None) or b""


def _without_salt(item: Item) -> bytes:
    return item_hash(canonical.format({name: value for name, value in item.items() if name != SALT}))
