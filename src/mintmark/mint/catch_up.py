"""Catching up: a mint's database that holds less than its log has signed is brought up to it from a mirror.

    checkpoint ── signed by the log's own key, grown from what is held and from the mark
    chunks ────── LogVerifier.chunk, items by their hashes ──> commits of one transaction, the last with the signed head

Nothing is signed here. Whatever fails, the database is as it was. What it alone knew of the part that was lost, the
request ids, does not come back: a client that sends one of those requests again gets a second copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mintmark.errors import Fork, Misconfigured, NotAvailableYet, ProofError
from mintmark.formats import FORMATS
from mintmark.mint.commit import MintState, check_stored, erase_items
from mintmark.mint.high_water_mark import read_mark, write_mark
from mintmark.register.reduce import Definition, ItemGaps, fold_clocks, fold_definitions, fold_erasures
from mintmark.store.log.model import Head
from mintmark.store.mint.mint_store import MintCommit
from mintmark.tlog import bundle, second_path
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT, WIDTH
from mintmark.tlog.merkle import check_consistency
from mintmark.tlog.note import parse_vkey
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.mint.keys import KeyDirectory
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.log.model import Log
    from mintmark.store.mint.mint_store import MintStore, Writer
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.trust import Bundle, VerifiedChunk


@dataclass
class _Held:
    """What the database holds of a log, on the way to the head of a mirror."""

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
    step: Callable[[int], None] = lambda _: None,
) -> Checkpoint:
    """Brings a log up to the head of a mirror, made anew where the database has none; that head.

    `salted` says how a log is made anew. `step` hears of entries as they come.

    Raises:
        NotAvailableYet: the mirror holds less than the log has signed, or than the database holds.
        Untrusted: the mirror's head or entries are not of this log's tree.
        Misconfigured, Unavailable: no key of the log here; the mirror or the database cannot be reached.
    """
    verifiers = [parse_vkey(signer.vkey) for signer in keys.signers(origin)]
    head = open_checkpoint(await source.checkpoint(origin), origin, verifiers)
    mark = read_mark(keys.file(origin, "mark"), origin, verifiers)
    await _check_grown(source, mark, head)
    async with store.writing() as writer:
        held = await _find(store, writer, head, source, salted)
        if held.state.head.size > head.size:
            raise NotAvailableYet(
                f"{source.address} holds {head.size} entries, and this database {held.state.head.size}"
            )
        await _follow(writer, held, head, source, verifiers, step)
    store.notices.tell(held.log.id)
    await store.notices.told()
    write_mark(keys.file(origin, "mark"), head.note)
    return head


async def _check_grown(source: GrpcSource, mark: Checkpoint, head: Checkpoint) -> None:
    """The mirror's head is the mark's tree, or has grown from it."""
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


async def _find(store: MintStore, writer: Writer, head: Checkpoint, source: GrpcSource, salted: bool) -> _Held:
    """What is here of a log, or the log made anew, with a note that the last commit replaces."""
    known = {log.origin: log for log in await store.logs()}
    if (log := known.get(head.origin)) is not None:
        state = MintState.load(log, await store.load(log))
        clocks = dict(state.admission.rules.clocks) if state.admission else {}
        return _Held(log, state, clocks)
    kinds = {log.origin: log.kind for log in await source.logs()}
    empty = Head(0, EMPTY_ROOT, head.note)
    made = await writer.create(head.origin, kinds.get(head.origin, "opaque"), salted, empty)
    if made is None:
        raise Misconfigured(f"another log here has the name of {head.origin}")
    return _Held(made, MintState(empty, Edge(), None, None), {})


async def _follow(
    writer: Writer,
    held: _Held,
    head: Checkpoint,
    source: GrpcSource,
    verifiers: Sequence[Verifier],
    step: Callable[[int], None],
) -> None:
    """Writes the entries from what is held to the head."""
    size = held.state.head.size
    before = check_stored(held.log, held.state, verifiers) if size else None
    trusted = LogVerifier(head.origin, verifiers, before, held.state.edge)
    trusted.accept(head.note, await source.consistency(head.origin, size, head.size))
    if size < head.size:
        async for chunk in source.entries(head.origin, size, head.size, head.size):
            verified = trusted.chunk(chunk)
            await _write(writer, held, verified, head.note)
            step(verified.end - verified.start)
    if trusted.edge.size != head.size:
        raise NotAvailableYet(
            f"{source.address} ended its answer at entry {trusted.edge.size} of {head.size}; run it again"
        )
    if lost := held.gaps.unexplained():
        raise ProofError(f"{source.address} withholds the item of entry {min(lost)}, which no entry erases", head.note)


async def _write(writer: Writer, held: _Held, chunk: VerifiedChunk, note: bytes) -> None:
    """Adds one verified chunk, with what its entries erase and define."""
    before = held.state
    if before.head.size == 0:
        _check_kind(held.log, chunk, note)
    rows = FORMATS[held.log.kind].open_chunk(chunk)
    definitions: dict[str, Definition] = {}
    erased: dict[int, int] = {}
    fold_definitions(definitions, rows)
    fold_erasures(erased, rows)
    fold_clocks(held.clocks, rows)
    held.gaps.fold(rows)
    older = {index // WIDTH for index in erased} - {row.index for row in chunk.bundles}
    items = await writer.items(held.log.id, older) if older else {}
    bundles, items = erase_items(_after(before.tail, chunk.bundles), items, list(erased))
    head = Head(chunk.end, chunk.edge.root(), note)
    second_path.check_write(before.edge, before.head.root, bundles, chunk.tiles, head.size, head.root)
    await writer.commit(
        MintCommit(held.log.id, before.head, head, chunk.tiles, bundles, (), items, definitions, held.clocks)
    )
    held.state = MintState(head, chunk.edge, bundles[-1] if head.size % WIDTH else None, None)


def _check_kind(log: Log, first: VerifiedChunk, note: bytes) -> None:
    """Which kind of log this is only the mirror has said; the first entry proves it."""
    if not FORMATS[log.kind].begins_with(first.bundles[0].entries):
        raise ProofError(f"the mirror shows {log.origin} as of kind {log.kind}; its entries are not", note)


def _after(tail: Bundle | None, bundles: Sequence[Bundle]) -> list[Bundle]:
    """The rows to write: of the unfinished bundle, the items that are here stay as they are."""
    rows = list(bundles)
    if tail is not None:
        sent = rows[0].items
        rows[0] = replace(rows[0], items=tail.items + sent[len(bundle.take(sent, tail.width)) :] if sent else b"")
    return rows
