"""A log as the mint knows it: a frozen value, and the commit that leads to the next one.

    requests ── admit ──> entries ── extend ──> rows ── second path ──> sign ──> Commit, next State

To go back is to keep the old value: nothing here has been written, nor has a note left the process, until the commit is
answered. The second path computes the root from the rows that will be written, before it is signed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mintmark.errors import ProofError
from mintmark.mint.validation import Admission, Admitted, admit_entries, admit_opaque, at_entry, erased_already
from mintmark.register.reduce import Definition
from mintmark.register.rules import Rules
from mintmark.store.log.model import Head
from mintmark.store.mint.mint_store import AppendReceipt as Row
from mintmark.store.mint.mint_store import MintCommit
from mintmark.tlog import bundle, second_path
from mintmark.tlog.checkpoint import open_checkpoint, sign_checkpoint
from mintmark.tlog.kernel import HASH, WIDTH, leaf_hashes
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.mint.append_request import AppendRequest
    from mintmark.store.log.model import Log
    from mintmark.store.mint.mint_store import StoredLog
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.note import Signer, Verifier


@dataclass(frozen=True, slots=True)
class MintState:
    """What the next commit of a log goes on from."""

    head: Head
    edge: Edge
    tail: Bundle | None  # the unfinished bundle
    admission: Admission | None  # None: an opaque log

    @classmethod
    def load(cls, log: Log, stored: StoredLog) -> MintState:
        """The state that a database holds."""
        admission = None
        if log.kind == "register":
            items = {key: definition.item for key, definition in stored.definitions.items()}
            defined = {key: definition.index for key, definition in stored.definitions.items()}
            admission = Admission(Rules.load(items, stored.clocks, log.salted), defined)
        return cls(stored.head, stored.edge, stored.tail, admission)

    def admit(self, request: AppendRequest, size: int, now: str) -> Admitted:
        """Admits a batch at `size`. Raises Rejected, Malformed, Forbidden."""
        if self.admission is None:
            return admit_opaque(request, size)
        return admit_entries(request, self.admission, size, now)


def check_stored(log: Log, state: MintState, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The last signed head of a log, with which what its database holds has to agree.

    Raises:
        BadSignature: no key of the log signed it.
        ProofError: the rows do not have the root that was signed.
    """
    head = open_checkpoint(state.head.note, log.origin, verifiers)
    tail = leaf_hashes(state.tail.entries) if state.tail else b""
    if (head.size, head.root) != (state.head.size, state.head.root) or state.edge.root() != head.root:
        raise ProofError(f"the rows of {log.origin} do not have the root it signed; run mintmark fsck", head.note)
    if tail != (state.edge.tiles[0] if state.tail else b""):
        raise ProofError(f"the last bundle of {log.origin} is not what it signed; run mintmark fsck", head.note)
    return head


@dataclass(frozen=True, slots=True)
class AdmittedBatch:
    """Batches that were admitted, one after another, to follow a state."""

    before: MintState
    requests: tuple[AppendRequest, ...]
    admitted: tuple[Admitted, ...]
    refused: tuple[tuple[AppendRequest, Exception], ...]


def admit_all(state: MintState, requests: Sequence[AppendRequest], now: str) -> AdmittedBatch:
    """Admits requests in order, each to what those before it leave; one that is refused changes nothing for others."""
    taken, admitted, refused, size = [], [], [], state.head.size
    running = state
    for request in requests:
        try:
            batch = running.admit(request, size, now)
        except Exception as error:  # noqa: BLE001  # any failure is this request's own, and its answer
            refused.append((request, error))
            continue
        taken.append(request)
        admitted.append(batch)
        size += request.count
        if batch.after is not None:
            running = replace(running, admission=batch.after)
    return AdmittedBatch(state, tuple(taken), tuple(admitted), tuple(refused))


def build_commit(
    log: Log, draft: AdmittedBatch, items: Mapping[int, bytes], signers: Sequence[Signer]
) -> tuple[MintState, MintCommit]:
    """The commit of what was admitted, checked and signed, and the state after it.

    `items` are the items of the older bundles that erasures touch, by bundle index.

    Raises ProofError where the second path to the root disagrees, and Malformed, ValueError or LookupError where it is
    not even reached: a byte changed in memory. Nothing is signed then.
    """
    before = draft.before
    hashes = b"".join(batch.hashes for batch in draft.admitted)
    edge, tiles = before.edge.extend(hashes)
    indices = [index for batch in draft.admitted for index in batch.erased]
    bundles, erased = erase_items(_rows(before, draft.admitted), items, indices)
    root = edge.root()
    second_path.check_write(before.edge, before.head.root, bundles, tiles, edge.size, root)
    note = sign_checkpoint(log.origin, edge.size, root, signers).note
    admission = draft.admitted[-1].after
    after = MintState(Head(edge.size, root, note), edge, bundles[-1] if edge.size % WIDTH else None, admission)
    commit = MintCommit(
        log.id, before.head, after.head, tiles, bundles, _requests(draft), erased, *_changes(before, after)
    )
    return after, commit


def erased_bundles(draft: AdmittedBatch) -> set[int]:
    """The bundles, finished before this commit, whose items its erasures touch."""
    indices = {index // WIDTH for batch in draft.admitted for index in batch.erased}
    return {index for index in indices if index < draft.before.head.size // WIDTH}


def refuse_repeats(draft: AdmittedBatch, items: Mapping[int, bytes]) -> list[tuple[AppendRequest, Exception]]:
    """The batches that erase what is erased already, each with its refusal; `items` as in `integrate`.

    Raises Malformed, LookupError where the items are not those of their bundles.
    """
    refused: list[tuple[AppendRequest, Exception]] = []
    erased: set[int] = set()
    for request, batch in zip(draft.requests, draft.admitted, strict=True):
        again = (index for index in batch.erased if index in erased or _is_gone(draft.before, items, index))
        if not request.legacy and (index := next(again, None)) is not None:
            refused.append((request, at_entry(batch.erased[index], erased_already(index))))
        else:
            erased.update(batch.erased)
    return refused


def _is_gone(before: MintState, items: Mapping[int, bytes], index: int) -> bool:
    if index >= before.head.size:
        return False
    number, offset = divmod(index, WIDTH)
    tail = before.tail
    return not bundle.cut(tail.items if tail is not None and tail.index == number else items[number])[offset]


def _rows(before: MintState, admitted: Sequence[Admitted]) -> list[Bundle]:
    """The bundles to be written, whole: the first begins with what the unfinished one holds."""
    size, tail = before.head.size, before.tail
    entries = bundle.split_bundle(b"".join(batch.entries for batch in admitted), size)
    items = bundle.split_bundle(b"".join(batch.items for batch in admitted), size) or [(0, b"")] * len(entries)
    end = size + sum(len(batch.hashes) // HASH for batch in admitted)
    rows = [
        Bundle(index, min(WIDTH, end - index * WIDTH), piece, beside)
        for (index, piece), (_, beside) in zip(entries, items, strict=True)
    ]
    if tail is not None:
        rows[0] = replace(rows[0], entries=tail.entries + rows[0].entries, items=tail.items + rows[0].items)
    return rows


def erase_items(
    rows: list[Bundle], items: Mapping[int, bytes], indices: Sequence[int]
) -> tuple[list[Bundle], dict[int, bytes]]:
    """The rows, and the items of older bundles, without the items at these indices."""
    at = {row.index: position for position, row in enumerate(rows)}
    older = dict(items)
    for index in indices:
        number, offset = divmod(index, WIDTH)
        if number in at:
            row = rows[at[number]]
            rows[at[number]] = replace(row, items=_without(row.items, offset))
        elif number in older:
            older[number] = _without(older[number], offset)
    return rows, older


def _without(items: bytes, offset: int) -> bytes:
    cut = bundle.cut(items)
    cut[offset] = b""
    return bundle.join(cut)


def _requests(draft: AdmittedBatch) -> list[Row]:
    first, rows = draft.before.head.size, []
    for request in draft.requests:
        rows.append(Row(request.id, request.digest, first, request.count))
        first += request.count
    return rows


def _changes(before: MintState, after: MintState) -> tuple[dict[str, Definition], dict[str, str]]:
    """The definitions and clocks that are not what they were."""
    if before.admission is None or after.admission is None:
        return {}, {}
    old, new = before.admission, after.admission
    definitions = {
        key: Definition(index, new.rules.definitions[key])
        for key, index in new.defined.items()
        if old.defined.get(key) != index
    }
    return definitions, {kind: time for kind, time in new.rules.clocks.items() if old.rules.clocks.get(kind) != time}
