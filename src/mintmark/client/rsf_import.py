"""Importing an RSF file: a whole register, or the rest of one.

The file is checked as a whole before anything is sent: its own roots, and every entry against the schema in force at
its position. Then the log's signed head tells, by one proof, how much of the file it holds already, and only the rest
is appended. So an import that was cut off is simply run again, and one that is complete changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.client import download
from mintmark.client.upload import Imported, batches, derived_id, head_to_grow, send
from mintmark.errors import ProofError, Rejected
from mintmark.register.entry import format_entry
from mintmark.register.rsf import read_rsf
from mintmark.register.rules import Rules
from mintmark.tlog import bundle
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH, leaf_hash
from mintmark.tlog.merkle import check_consistency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mintmark.cli.options import TrustedLog
    from mintmark.register.rsf import RsfEntry
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint


@dataclass(frozen=True)
class CheckedFile:
    """A file whose every entry may be appended, in this order; `warnings` say what only the legacy mode admits."""

    name: str  # the register's own
    rows: Sequence[tuple[bytes, bytes]]  # (entry, item)
    warnings: Sequence[str]

    @property
    def hashes(self) -> bytes:
        """The leaf hashes, joined."""
        return b"".join(leaf_hash(entry) for entry, _ in self.rows)


def check_file(path: Path, *, legacy: bool = False) -> CheckedFile:
    """Reads and checks a file. Raises Rejected with the line and the reason."""
    with path.open("rb") as stream:
        entries = read_rsf(stream)
    rules, warnings = _admit(entries, legacy)
    register = rules.schema.register
    rows = [(format_entry(row.entry), row.item) for row in entries]
    return CheckedFile(register.name if register else path.stem, rows, warnings)


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


async def append_file(
    client: RpcClient, log: TrustedLog, file: CheckedFile, *, legacy: bool, step: Callable[[int], None] = lambda _: None
) -> Imported:
    """Appends what the log does not hold yet.

    Raises Rejected where the log holds something else than the file.
    """
    head = await head_to_grow(client, log)
    held = await _held(client, log, head, file)
    step(held)
    trusted = await download.begin(client, log, head)
    for first, rows in batches(file.rows[held:], held, lambda row: len(row[0]) + len(row[1])):
        entries, items = bundle.join(row[0] for row in rows), bundle.join(row[1] for row in rows)
        request_id = derived_id(log.origin, b"%d" % first, entries, items)
        _, head = await send(
            client,
            trusted,
            lambda: client.append(log.origin, request_id, entries, items, legacy=legacy),  # noqa: B023
        )
        step(len(rows))
    await _held(client, log, head, file)
    return Imported(len(file.rows) - held, held, head)


async def _held(client: RpcClient, log: TrustedLog, head: Checkpoint, file: CheckedFile) -> int:
    """With how many of the file's entries the log begins. Raises Rejected if one is another."""
    common = min(head.size, len(file.rows))
    if common == 0:
        return 0  # of nothing there is no proof, and no need
    edge, _ = Edge().extend(file.hashes[: common * HASH])
    try:
        proof = await client.consistency(log.origin, common, head.size)
        check_consistency(common, edge.root(), head.size, head.root, proof)
    except ProofError:
        raise Rejected(
            f"{log.origin} holds other entries than this file; import it under another name, or append what is new",
            rule="history",
        ) from None
    return common
