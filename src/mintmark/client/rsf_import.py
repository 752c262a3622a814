"""Imports of RSF files: a whole register, or the rest of one.

The file is checked as a whole before anything is sent: its own roots, and every entry against the schema in force at
its position. Then one proof under the log's signed head shows how much of the file the log holds already, and only the
rest is appended. So an import that was cut off is simply run again, and one that is complete changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.client import download
from mintmark.client.importing import ImportResult, PlannedEntry
from mintmark.client.sending import MAX_BATCH_ENTRIES, batches, derived_id, head_to_grow, send
from mintmark.errors import ProofError, Rejected
from mintmark.files import rereadable
from mintmark.register.entry import format_entry, parse_entry
from mintmark.register.rsf import read_rsf
from mintmark.register.rules import Rules
from mintmark.tlog import bundle
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, leaf_hash
from mintmark.tlog.merkle import check_consistency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.register.rsf import RsfEntry
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import LogVerifier


@dataclass(frozen=True)
class CheckedFile:
    """A file whose every entry may be appended, in this order; `warnings` say what only the legacy mode admits."""

    name: str  # the register's own
    rows: Sequence[tuple[bytes, bytes]]  # (entry, item)
    warnings: Sequence[str]
    legacy: bool = False

    @property
    def hashes(self) -> bytes:
        """The leaf hashes, joined."""
        return b"".join(leaf_hash(entry) for entry, _ in self.rows)


def check_file(path: Path, *, legacy: bool = False) -> CheckedFile:
    """Reads and checks a file. Raises Rejected with the line and the reason."""
    with rereadable(path) as stream:
        entries = read_rsf(stream)
    rules, warnings = _admit(entries, legacy)
    register = rules.schema.register
    rows = [(format_entry(row.entry), row.item) for row in entries]
    return CheckedFile(register.name if register else path.stem, rows, warnings, legacy)


def _admit(entries: Sequence[RsfEntry], legacy: bool) -> tuple[Rules, list[str]]:
    rules, warnings = Rules.load({}, {}), list[str]()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for size, (entry, item, line) in enumerate(entries):
        try:
            rules, admitted = rules.admit(entry, item, now=now, size=size, legacy=legacy)
        except Rejected as error:
            raise Rejected(f"line {line}: {error}", rule=error.rule, field=error.field, line=line) from None
        warnings += (f"line {line}: {warning}" for warning in admitted)
    return rules, warnings


@dataclass(frozen=True)
class RsfPlan:
    """An `ImportPlan` of an RSF file."""

    log: TrustedLog
    head: Checkpoint
    file: CheckedFile
    present: int

    @property
    def count(self) -> int:
        """The number of entries that it appends."""
        return len(self.file.rows) - self.present

    @property
    def warnings(self) -> Sequence[str]:
        """The faults that only the legacy mode admits, in words."""
        return self.file.warnings

    def entries(self) -> Iterator[PlannedEntry]:
        """The entries that it appends, in order."""
        for leaf, item in self.file.rows[self.present :]:
            entry = parse_entry(leaf)
            yield PlannedEntry(entry.key, item or None, entry.timestamp, entry.type)

    async def apply(
        self,
        client: MintClient,
        step: Callable[[int], None] = lambda entries: None,
        max_batch_entries: int = MAX_BATCH_ENTRIES,
    ) -> ImportResult:
        """Appends them. Raises Rejected where the log holds something else than the file afterwards."""
        head = self.head
        verifier = await download.start_verifier(client, self.log, head)
        rows = self.file.rows[self.present :]
        for first, batch in batches(rows, self.present, lambda row: len(row[0]) + len(row[1]), max_batch_entries):
            head = await self._send(client, verifier, first, batch)
            step(len(batch))
        await _present(client, self.log, head, self.file)
        return ImportResult(self.count, self.present, head)

    async def _send(
        self, client: MintClient, verifier: LogVerifier, first: int, batch: Sequence[tuple[bytes, bytes]]
    ) -> Checkpoint:
        origin, legacy = self.log.origin, self.file.legacy
        entries, items = bundle.join(row[0] for row in batch), bundle.join(row[1] for row in batch)
        request_id = derived_id(origin, b"%d" % first, entries, items)
        return (
            await send(client, verifier, lambda: client.append(origin, request_id, entries, items, legacy=legacy))
        ).head


async def plan_rsf(client: MintClient, log: TrustedLog, file: CheckedFile) -> RsfPlan:
    """The plan of what the log does not hold yet. Raises Rejected where it holds something else than the file."""
    head = await head_to_grow(client, log)
    return RsfPlan(log, head, file, await _present(client, log, head, file))


async def _present(client: MintClient, log: TrustedLog, head: Checkpoint, file: CheckedFile) -> int:
    """The number of the file's entries that the log begins with. Raises Rejected if one is another."""
    common = min(head.size, len(file.rows))
    if common == 0:
        return 0  # of nothing there is no proof, and no need
    edge, _ = Edge().extend(file.hashes[: common * HASH_BYTES])
    try:
        proof = await client.consistency(log.origin, common, head.size)
        check_consistency(common, edge.root(), head.size, head.root, proof)
    except ProofError:
        raise Rejected(
            f"{log.origin} holds other entries than this file; import it under another name, or append what is new",
            rule="history",
        ) from None
    return common
