"""Audits: a log that was looked at once cannot change its past unseen.

The state file holds the last signed note that was verified and nothing else. It is replaced, durably, after all checks
of an audit passed. A contradiction leaves it as it was, and its notes go to a file beside it (`client.evidence`).

The state is of the log, not of a server: so servers are compared with one another. One that shows a smaller head than
another did is behind, which is no lie: an old head is signed, too. What it shows counts once it has caught up.

A full audit reads the whole log: every leaf, item and erasure, and the root; the root once more by pymerkle, if asked.
pymerkle is another implementation by other people, under another licence: it is imported here alone.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mintmark.client import download
from mintmark.client.evidence import format_tree, sizes_to_prove
from mintmark.errors import (
    BadSignature,
    Fork,
    Malformed,
    MintmarkError,
    Misconfigured,
    NotAvailableYet,
    ProofError,
    Untrusted,
)
from mintmark.files import write_durably
from mintmark.formats.register import open_chunk
from mintmark.register.reduce import ItemGaps
from mintmark.sources.source import edge_at
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk


class AuditReport(NamedTuple):
    """The head that was verified, the one that the state file held before, and if every entry was checked."""

    head: Checkpoint
    before: Checkpoint | None
    full: bool


async def audit(
    client: MintClient,
    log: TrustedLog,
    state: Path,
    *,
    full: bool = False,
    second_opinion: bool = False,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> AuditReport:
    """Proves that a log only grew since the head in the state file, and puts the new head there.

    `full` downloads every entry; `second_opinion` does too, and has pymerkle compute the root. `step` is called with
    the entries checked so far and those there are.

    Raises:
        Untrusted: the log contradicts itself; the message names the file of the evidence.
        NotAvailableYet: the server shows a smaller head than the one in the state file, which stays as it is.
        Misconfigured: the state file holds something else than a head of this log, or pymerkle is not installed.
    """
    before = _read_state(state, log)
    try:
        head = await _audit(client, log, before, full or second_opinion, second_opinion, step)
    except Untrusted as error:
        file = await _keep(client, state, log, error)
        raise type(error)(f"{error}; the evidence is in {file}", *error.notes) from error
    write_durably(state, head.note)
    return AuditReport(head, before, full or second_opinion)


def _read_state(state: Path, log: TrustedLog) -> Checkpoint | None:
    try:
        return open_checkpoint(state.read_bytes(), log.origin, log.verifiers)
    except FileNotFoundError:
        return None
    except (Malformed, BadSignature) as error:
        raise Misconfigured(
            f"{state} is not a head that {log.origin} signed ({error}); name another with --state"
        ) from error


async def _keep(client: MintClient, state: Path, log: TrustedLog, error: Untrusted) -> Path:
    """Writes what contradicts what, so that others can check it with the keys alone."""
    now = datetime.now(UTC)
    evidence: dict[str, Any] = {
        "error": type(error).__name__,
        "message": str(error),
        "origin": log.origin,
        "vkeys": [verifier.vkey for verifier in log.verifiers],
        "notes": [note.decode("utf-8", "backslashreplace") for note in error.notes],
        "at": now.isoformat(timespec="seconds"),
    }
    if (tree := await _tree(client, log, error)) is not None:
        evidence["tree"] = tree
    file = state.with_name(f"{state.name}.evidence-{now.strftime('%Y%m%dT%H%M%S.%fZ')}.json")
    write_durably(file, json.dumps(evidence, indent=1, ensure_ascii=False).encode() + b"\n")
    return file


async def _tree(client: MintClient, log: TrustedLog, error: Untrusted) -> dict[str, Any] | None:
    """What convicts the log beside two notes of different sizes, if the server gives it."""
    sizes = sizes_to_prove(error.notes) if isinstance(error, Fork) else None
    if sizes is None:
        return None
    try:
        heads = [open_checkpoint(note, log.origin, log.verifiers) for note in error.notes]
        edge = await edge_at(client, max(heads, key=lambda head: head.size), sizes[0])
        return format_tree(sizes[0], edge.root(), await client.consistency(log.origin, *sizes))
    except MintmarkError:
        return None


async def _audit(
    client: MintClient,
    log: TrustedLog,
    before: Checkpoint | None,
    full: bool,
    second_opinion: bool,
    step: Callable[[int, int], None],
) -> Checkpoint:
    second = _second_tree() if second_opinion else None
    verifier = LogVerifier(log.origin, log.verifiers, before, Edge())
    note = await client.checkpoint(log.origin)
    if before is not None:
        _check_not_behind(client.address, log, note, before)
    head = await download.accept(client, verifier, note)
    if full:
        await _read_all(client, verifier, head, second, step)
    return head


def _check_not_behind(address: str, log: TrustedLog, note: bytes, before: Checkpoint) -> None:
    """Raises NotAvailableYet for an older head."""
    with download.strictly():
        shown = open_checkpoint(note, log.origin, log.verifiers)
    if shown.size < before.size:
        raise NotAvailableYet(
            f"{address} is behind: it shows {shown.size} entries of {log.origin}, and {before.size} were signed by the "
            "last audit; ask again later, or another server"
        )


async def _read_all(
    client: MintClient,
    verifier: LogVerifier,
    head: Checkpoint,
    second: SecondTree | None,
    step: Callable[[int, int], None],
) -> None:
    """Reads every entry up to a head. Raises ProofError, with the head, for any fault."""
    gaps = ItemGaps()
    async for chunk in download.get_chunks(client, verifier, head.size):
        if download.is_register(chunk):
            gaps.fold(open_chunk(chunk))
        if second is not None:
            _append_to(second, chunk)
        step(chunk.end, head.size)
    check_gaps(gaps, head)
    if second is not None and (root := second.get_root()) != head.root:
        raise ProofError(f"pymerkle computes the root {root.hex()}, the log signed {head.root.hex()}", head.note)


def check_gaps(gaps: ItemGaps, head: Checkpoint) -> None:
    """Raises ProofError, with the head, for an item that is missing and that no entry erases."""
    if withheld := gaps.unexplained():
        raise ProofError(f"the item of entry {min(withheld)} is missing, and no entry erases it", head.note)


class SecondTree(Protocol):
    """A Merkle tree of the other implementation."""

    def append_entry(self, data: bytes) -> int:
        """Appends a leaf."""

    def get_root(self) -> bytes:
        """The root over all leaves."""


def _second_tree() -> SecondTree:
    """An empty tree of pymerkle's. Raises Misconfigured when it is not installed."""
    try:
        from pymerkle import InmemoryTree
    except ImportError as error:
        raise Misconfigured(
            "pymerkle is not installed; run pip install 'mintmark[second-opinion]', or pip install pymerkle"
        ) from error
    tree: SecondTree = InmemoryTree(algorithm="sha256")  # type: ignore[no-untyped-call]
    return tree


def _append_to(second: SecondTree, chunk: VerifiedChunk) -> None:
    for _, leaf in download.leaves(chunk):
        second.append_entry(leaf)
