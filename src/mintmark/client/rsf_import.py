"""Imports of RSF files: a whole register, or one that continues another.

The file is checked before anything is sent: its own roots, and every entry against the schema in force at its position.
Then it is compared with the log (`rsf_overlap`), and only the rest is appended. So an import that was cut off is simply
run again, and one that is complete changes nothing. Where the log begins with the file's very entries, one proof under
its signed head shows that; else the whole log is read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from mintmark.client import download
from mintmark.client.importing import ImportResult, PlannedEntry, check_content
from mintmark.client.rsf_overlap import HistoryOverlap
from mintmark.client.sending import MAX_BATCH_ENTRIES, batches, derived_id, head_to_grow, send_batches
from mintmark.errors import ProofError, Rejected
from mintmark.files import rereadable
from mintmark.formats.register import open_chunk
from mintmark.register.entry import format_entry
from mintmark.register.item import item_hash
from mintmark.register.reduce import fold_clocks, fold_definitions
from mintmark.register.rsf import AddItem, AppendEntry, continued_root, parse_rsf, read_entries
from mintmark.register.rules import Rules
from mintmark.tlog import bundle
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, leaf_hash
from mintmark.tlog.merkle import check_consistency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import AppendAnswer, MintClient
    from mintmark.register.definitions import Definition
    from mintmark.register.entry import Row
    from mintmark.register.rsf import AssertRoot, Command, RsfEntry
    from mintmark.tlog.checkpoint import Checkpoint

    JoinedRow = tuple[bytes, bytes]  # entry, item


@dataclass(frozen=True)
class CheckedFile:
    """A file whose every entry may be appended, in this order; `warnings` say what only the legacy mode admits.

    A file that continues a register has no `entries` yet: its items may be in the log, and so are its definitions.
    """

    name: str  # the register's own; of a file that continues one, the file's
    commands: Sequence[Command]
    entries: Sequence[RsfEntry]
    warnings: Sequence[str]
    legacy: bool = False

    @property
    def continued(self) -> AssertRoot | None:
        """The root that the file continues from."""
        return continued_root(self.commands)

    @property
    def hashes(self) -> bytes:
        """The leaf hashes, joined."""
        return b"".join(leaf_hash(format_entry(row.entry)) for row in self.entries)


def check_file(path: Path, *, legacy: bool = False) -> CheckedFile:
    """Reads and checks a file. Raises Rejected with the line and the reason."""
    with rereadable(path) as stream:
        check_content(stream, "rsf")
        commands = list(parse_rsf(stream, legacy=legacy))
    file = CheckedFile(path.stem, commands, (), (), legacy)
    return file if file.continued else _joined(file, Rules.load({}, {}))


def _joined(file: CheckedFile, rules: Rules, read: LogReading | None = None) -> CheckedFile:
    """The file with its entries, those of them that are missing in the log admitted by the rules."""
    if read is None:
        entries, warnings = read_entries(file.commands, legacy=file.legacy)
        rules, admitted = _admit(entries, rules, 0, file.legacy)
    else:
        start = read.overlap.start or Edge()
        entries, warnings = read_entries(file.commands, known=read.items.get, edge=start, legacy=file.legacy)
        rules, admitted = _admit(read.overlap.missing(entries), rules, read.head.size, file.legacy)
    register = rules.schema.register
    name = register.name if register else file.name
    return replace(file, name=name, entries=entries, warnings=[*warnings, *admitted])


def _admit(entries: Sequence[RsfEntry], rules: Rules, size: int, legacy: bool) -> tuple[Rules, list[str]]:
    warnings = list[str]()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for index, (entry, item, line) in enumerate(entries, size):
        try:
            rules, admitted = rules.admit(entry, item, now=now, size=index, legacy=legacy)
        except Rejected as error:
            raise Rejected(f"line {line}: {error}", rule=error.rule, field=error.field, line=line) from None
        warnings += (f"line {line}: {warning}" for warning in admitted)
    return rules, warnings


@dataclass(frozen=True)
class RsfPlan:
    """An `ImportPlan` of an RSF file; `missing` are the entries to append."""

    log: TrustedLog
    head: Checkpoint
    file: CheckedFile
    missing: Sequence[RsfEntry]

    @property
    def count(self) -> int:
        """The number of entries that it appends."""
        return len(self.missing)

    @property
    def present(self) -> int:
        """The number of the file's entries that the log holds already."""
        return len(self.file.entries) - len(self.missing)

    @property
    def warnings(self) -> Sequence[str]:
        """The faults that only the legacy mode admits, in words."""
        return self.file.warnings

    def entries(self) -> Iterator[PlannedEntry]:
        """The entries that it appends, in order."""
        for entry, item, _ in self.missing:
            yield PlannedEntry(entry.key, item or None, entry.timestamp, entry.type)

    async def apply(
        self,
        client: MintClient,
        step: Callable[[int], None] = lambda entries: None,
        max_batch_entries: int = MAX_BATCH_ENTRIES,
    ) -> ImportResult:
        """Appends them. Raises Rejected where the log holds something else than the file afterwards."""
        rows = [(format_entry(row.entry), row.item) for row in self.missing]
        numbered = batches(rows, self.head.size, lambda row: len(row[0]) + len(row[1]), max_batch_entries)
        call = partial(_append, client, self.log.origin, self.file.legacy)
        head = await send_batches(client, self.log, self.head, numbered, call, step)
        if rows:
            await _compare(client, self.log, head, self.file)
        return ImportResult(self.count, self.present, head)


async def _append(
    client: MintClient, origin: str, legacy: bool, first: int, batch: Sequence[JoinedRow]
) -> AppendAnswer:
    entries, items = bundle.join(row[0] for row in batch), bundle.join(row[1] for row in batch)
    request_id = derived_id(origin, b"%d" % first, entries, items)
    return await client.append(origin, request_id, entries, items, legacy=legacy)


async def plan_rsf(client: MintClient, log: TrustedLog, file: CheckedFile) -> RsfPlan:
    """The plan of what the log does not hold yet. Raises Rejected where it holds something else than the file."""
    head = await head_to_grow(client, log)
    return RsfPlan(log, head, *await _compare(client, log, head, file))


async def _compare(
    client: MintClient, log: TrustedLog, head: Checkpoint, file: CheckedFile
) -> tuple[CheckedFile, Sequence[RsfEntry]]:
    """The file with its entries, and those that the log does not hold. Raises Rejected where it holds others."""
    if file.continued is None and (same := await _common(client, log, head, file)) is not None:
        return file, file.entries[same:]
    read = await _read(client, log, head, file)
    if read.overlap.start is None:
        read = await _read(client, log, head, file, thorough=True)
    if file.continued is not None:
        definitions = {key: definition.item for key, definition in read.definitions.items()}
        file = _joined(file, Rules.load(definitions, read.clocks), read)
    return file, read.overlap.missing(file.entries)


async def _common(client: MintClient, log: TrustedLog, head: Checkpoint, file: CheckedFile) -> int | None:
    """The number of entries that log and file have in common where one begins with the other; None where not."""
    common = min(head.size, len(file.entries))
    if common == 0:
        return 0  # of nothing there is no proof, and no need
    edge, _ = Edge().extend(file.hashes[: common * HASH_BYTES])
    try:
        proof = await client.consistency(log.origin, common, head.size)
        check_consistency(common, edge.root(), head.size, head.root, proof)
    except ProofError:
        return None
    return common


@dataclass
class LogReading:
    """What the entries of a log, up to a head, tell of a file; `items` are those that the file names and lacks."""

    head: Checkpoint
    overlap: HistoryOverlap
    items: dict[bytes, bytes | None]
    definitions: dict[str, Definition] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)

    def fold(self, rows: Sequence[Row]) -> None:
        """Takes the next rows of the log."""
        self.overlap.fold(rows)
        fold_definitions(self.definitions, rows)
        fold_clocks(self.clocks, rows)
        for row in rows:
            if row.item is not None and row.entry is not None and row.entry.item_hash in self.items:
                self.items[row.entry.item_hash] = row.item


async def _read(
    client: MintClient, log: TrustedLog, head: Checkpoint, file: CheckedFile, *, thorough: bool = False
) -> LogReading:
    """Reads the log up to a head, verified. Raises Rejected where it holds other entries than the file."""
    appended = [command for command in file.commands if isinstance(command, AppendEntry)]
    named = {command.entry.item_hash for command in appended}
    lacking = named - {item_hash(command.item) for command in file.commands if isinstance(command, AddItem)} - {None}
    overlap = HistoryOverlap(log.origin, appended, file.continued, thorough=thorough)
    read = LogReading(head, overlap, {digest: None for digest in lacking if digest is not None})
    verifier = await download.start_verifier(client, log, head)
    async for chunk in download.get_chunks(client, verifier, head.size):
        if not download.is_register(chunk):
            raise Rejected(f"{log.origin} is not a register: it has entries, and no records", rule="kind")
        read.fold(open_chunk(chunk))
    overlap.finish()
    return read
