"""Catching up: a mint's database that holds less than its log has signed is brought up to it from a mirror.

    checkpoint ── signed by the log's own key, grown from the database's head and from all that was signed
    chunks ────── LogVerifier.chunk, items by their hashes ──> commits of one transaction, the last with the signed head

Nothing is signed here. Where it fails, the database is as it was. The request ids of the lost part do not come back: a
client that sends one of those requests again gets a second copy. Each chunk is written as a request of its own, so that
the requests lie end to end as in every mint's database.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from mintmark.errors import Fork, Misconfigured, NotAvailableYet, ProofError
from mintmark.formats import FORMATS
from mintmark.mint.commit import MintState, check_stored, erase_items
from mintmark.mint.high_water_mark import raise_high_water_mark
from mintmark.mint.known_heads import newest_signed
from mintmark.mint.validation import REQUEST_ID_BYTES
from mintmark.register.reduce import ItemGaps, fold_clocks, fold_definitions, fold_erasures
from mintmark.store.log.model import Head
from mintmark.store.mint.mint_store import AppendReceipt, MintCommit
from mintmark.tlog import bundle, second_path
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT, TILE_WIDTH
from mintmark.tlog.merkle import check_consistency
from mintmark.tlog.note import parse_vkey
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.mint.keys import KeyDirectory
    from mintmark.register.definitions import Definition
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.log.model import Log
    from mintmark.store.mint.mint_store import MintStore, MintTransaction
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.trust import Bundle, VerifiedChunk


@dataclass
class _Progress:
    """A log in the database, on its way to the head of a mirror."""

    log: Log
    state: MintState
    clocks: dict[str, str]
    gaps: ItemGaps = field(default_factory=ItemGaps)  # items that the mirror did not send


async def catch_up(
    store: MintStore,
    keys: KeyDirectory,
    origin: str,
    source: GrpcSource,
    *,
    salted: bool = False,
    on_entries: Callable[[int], None] = lambda _: None,
) -> Checkpoint:
    """Brings a log up to the head of a mirror; that head. A log that the database has not is made first.

    `salted` is for a log that is made. `on_entries` is called with the number of entries of each chunk.

    Raises:
        NotAvailableYet: the mirror holds less than the log has signed, or than the database holds.
        Untrusted: the mirror's head or entries are not of this log's tree.
        Misconfigured, Unavailable: no key of the log is here; the mirror or the database cannot be reached.
    """
    verifiers = [parse_vkey(signer.vkey) for signer in keys.signers(origin)]
    head = open_checkpoint(await source.checkpoint(origin), origin, verifiers)
    await _check_grown(source, newest_signed(keys, origin, verifiers), head)
    async with store.transaction() as writer:
        progress = await _begin(store, writer, head, source, salted)
        if progress.state.head.size > head.size:
            held = progress.state.head.size
            raise NotAvailableYet(f"{source.address} holds {head.size} entries, and this database {held}")
        await _write_all(writer, progress, head, source, verifiers, on_entries)
    store.notifier.notify(progress.log.id)
    await store.notifier.flush()
    raise_high_water_mark(keys.file(origin, "mark"), head.note)
    return head


async def _check_grown(source: GrpcSource, mark: Checkpoint, head: Checkpoint) -> None:
    """Checks that the mirror's head is the tree of the high-water mark, or has grown from it."""
    if head.size < mark.size:
        reason = f"{source.address} holds {head.size} entries, and {head.origin} has signed {mark.size}"
        raise NotAvailableYet(f"{reason}; ask another mirror, or wait until this one is up to date")
    proof = await source.consistency(head.origin, mark.size, head.size)
    try:
        if mark.size == head.size and mark.root != head.root:
            raise ProofError("another tree of the same size")
        if 0 < mark.size < head.size:
            check_consistency(mark.size, mark.root, head.size, head.root, proof)
    except ProofError as error:
        raise Fork(f"{head.origin} has signed two histories: {error}", mark.note, head.note) from error


async def _begin(
    store: MintStore, writer: MintTransaction, head: Checkpoint, source: GrpcSource, salted: bool
) -> _Progress:
    """The log as the database holds it, or made with a note that the last commit replaces."""
    known = {log.origin: log for log in await store.logs()}
    if (log := known.get(head.origin)) is not None:
        state = MintState.load(log, await store.load(log))
        return _Progress(log, state, dict(state.rules.clocks) if state.rules else {})
    kinds = {log.origin: log.kind for log in await source.logs()}
    empty = Head(0, EMPTY_ROOT, head.note)
    made = await writer.create(head.origin, kinds.get(head.origin, "opaque"), salted, empty)
    if made is None:
        raise Misconfigured(f"another log here has the name of {head.origin}")
    return _Progress(made, MintState(empty, Edge(), None, None), {})


async def _write_all(
    writer: MintTransaction,
    progress: _Progress,
    head: Checkpoint,
    source: GrpcSource,
    verifiers: Sequence[Verifier],
    on_entries: Callable[[int], None],
) -> None:
    """Writes the entries from the database's head to the mirror's."""
    size = progress.state.head.size
    before = check_stored(progress.log, progress.state, verifiers) if size else None
    verifier = LogVerifier(head.origin, verifiers, before, progress.state.edge)
    verifier.accept(head.note, await source.consistency(head.origin, size, head.size))
    if size < head.size:
        async for chunk in source.entries(head.origin, size, head.size, head.size):
            verified = verifier.chunk(chunk)
            await _write_chunk(writer, progress, verified, head.note)
            on_entries(verified.end - verified.start)
    if (end := verifier.edge.size) != head.size:
        raise NotAvailableYet(f"{source.address} ended its answer at entry {end} of {head.size}; run it again")
    if withheld := progress.gaps.unexplained():
        reason = f"{source.address} withholds the item of entry {min(withheld)}, which no entry erases"
        raise ProofError(reason, head.note)


async def _write_chunk(writer: MintTransaction, progress: _Progress, chunk: VerifiedChunk, note: bytes) -> None:
    """Adds one verified chunk, with the erasures and definitions among its entries."""
    log, before = progress.log, progress.state
    if before.head.size == 0:
        _check_kind(log, chunk, note)
    rows = FORMATS[log.kind].open_chunk(chunk)
    definitions: dict[str, Definition] = {}
    erased: dict[int, int] = {}
    fold_definitions(definitions, rows)
    fold_erasures(erased, rows)
    fold_clocks(progress.clocks, rows)
    progress.gaps.fold(rows)
    older = {index // TILE_WIDTH for index in erased} - {row.index for row in chunk.bundles}
    items = await writer.items(log.id, older) if older else {}
    bundles, items = erase_items(_grown(before.tail, chunk.bundles), items, list(erased))
    head = Head(chunk.end, chunk.edge.root(), note)
    requests = [_receipt(chunk, note)]
    second_path.check_write(before.edge, before.head.root, bundles, chunk.tiles, head.size, head.root)
    await writer.commit(
        MintCommit(log.id, before.head, head, chunk.tiles, bundles, requests, items, definitions, progress.clocks)
    )
    progress.state = MintState(head, chunk.edge, bundles[-1] if head.size % TILE_WIDTH else None, None)


def _receipt(chunk: VerifiedChunk, note: bytes) -> AppendReceipt:
    """The request that stands for the entries of a chunk; no client has its id."""
    held, joined = chunk.start % TILE_WIDTH, b"".join(row.entries for row in chunk.bundles)
    entries = joined[len(bundle.take(chunk.bundles[0].entries, held)) :]
    id_ = sha256(b"caught up\n%d\n%s" % (chunk.start, note)).digest()[:REQUEST_ID_BYTES]
    return AppendReceipt(id_, bundle.digest(entries, b""), chunk.start, chunk.end - chunk.start)


def _check_kind(log: Log, first: VerifiedChunk, note: bytes) -> None:
    """Checks the kind of log, which only the mirror has said so far, against the first entry, which proves it."""
    if not FORMATS[log.kind].begins_with(first.bundles[0].entries):
        raise ProofError(f"the mirror shows {log.origin} as of kind {log.kind}; its entries are not", note)


def _grown(tail: Bundle | None, bundles: Sequence[Bundle]) -> list[Bundle]:
    """The rows to write. The items that the unfinished bundle has stay as they are: some may be erased since."""
    rows = list(bundles)
    if tail is not None:
        sent = rows[0].items
        rows[0] = replace(rows[0], items=tail.items + sent[len(bundle.take(sent, tail.width)) :] if sent else b"")
    return rows
