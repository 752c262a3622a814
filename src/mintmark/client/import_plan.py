"""Which rows of a table a register holds already: those that its records end with.

A table says how records are to be, not what is to be appended. So a row is there already where it is the last that its
record says, and rows of one record where they are, in this order, the last of its entries. An import that was cut off
goes on where it ended; one that changed nothing since appends nothing; one of an older state, after another, appends it
again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.client import download
from mintmark.formats.register import open_chunk
from mintmark.register import canonical
from mintmark.register.item import SALT, item_hash, parse_item
from mintmark.register.reduce import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mintmark.cli.options import TrustedLog
    from mintmark.register.entry import Row
    from mintmark.register.item import Item
    from mintmark.register.tables import TableRow
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint

Key = tuple[str, str]  # type, key


class Said(NamedTuple):
    """What an entry or a row says of its record: the hash of its item but for a salt, empty for a tombstone."""

    digest: bytes
    timestamp: str | None  # None: whenever


@dataclass
class _Record:
    """The rows that a table has of a record, and the last entries that the log has of it, no more than those."""

    rows: list[Said] = field(default_factory=list)
    last: deque[Said] = field(default_factory=deque)
    count: int = 0  # of its entries
    held: int = 0  # of its rows
    met: int = 0  # of its rows


class Overlap:
    """What a table and a log have in common: `add` each row, `read` the log, then ask for what is `missing`."""

    def __init__(self) -> None:
        self._records: dict[Key, _Record] = {}

    def add(self, row: TableRow) -> None:
        """Notes a row of the table, in order."""
        self._records.setdefault((row.type, row.key), _Record()).rows.append(_of_row(row))

    async def read(self, client: RpcClient, log: TrustedLog, head: Checkpoint) -> None:
        """Reads the log up to a head, verified."""
        for record in self._records.values():
            record.last = deque(maxlen=len(record.rows))
        trusted = await download.begin(client, log, head)
        async for chunk in download.get_chunks(client, trusted, head.size):
            for row in open_chunk(chunk):
                self._meet(row)
        for record in self._records.values():
            record.held = _held(record.rows, list(record.last))

    def _meet(self, row: Row) -> None:
        if row.entry is not None and (record := self._records.get(key_of(row.entry))) is not None:
            record.last.append(Said(_digest(row), row.entry.timestamp))
            record.count += 1

    def missing(self, rows: Iterable[TableRow]) -> Iterator[tuple[TableRow, int]]:
        """Those of the table's rows that are not there, and which of its record's entries each becomes."""
        for row in rows:
            record = self._records[row.type, row.key]
            if record.met >= record.held:
                yield row, record.count + record.met - record.held
            record.met += 1


def _held(rows: list[Said], last: list[Said]) -> int:
    """How many of the first rows are the last entries."""
    for count in range(min(len(rows), len(last)), 0, -1):
        if all(map(_same, rows[:count], last[-count:])):
            return count
    return 0


def _same(row: Said, entry: Said) -> bool:
    return row.digest == entry.digest and row.timestamp in (None, entry.timestamp)


def _of_row(row: TableRow) -> Said:
    return Said(b"" if row.item is None else _without_salt(row.item), row.timestamp)


def _digest(row: Row) -> bytes:
    """By its hash where there is no salt, so that an item that was erased is known, too."""
    if row.item is not None and SALT.encode() in row.item:
        return _without_salt(parse_item(row.item))
    return (row.entry.item_hash if row.entry else None) or b""


def _without_salt(item: Item) -> bytes:
    return item_hash(canonical.format({name: value for name, value in item.items() if name != SALT}))
