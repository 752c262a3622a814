"""A log as the mint knows it, and the commit that leads to the next state. Pure.

    requests ── admit_all ──> AdmittedBatch ── build_commit ──> rows ── second path ──> signed ──> MintState, MintCommit

A `MintState` is a value: to go back is to keep the old one. Nothing here is written, and no note leaves the process
before the commit is durable. The second path computes the root from the rows to be written before it is signed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, MintmarkError, ProofError, WriteMismatch
from mintmark.mint.validation import admit, at_entry, erased_already, in_use
from mintmark.register.entry import parse_entry
from mintmark.register.item import parse_item
from mintmark.register.rules import Rules
from mintmark.store.log.model import Head
from mintmark.store.mint.mint_store import AppendReceipt, MintCommit
from mintmark.tlog import bundle, second_path
from mintmark.tlog.checkpoint import open_checkpoint, sign_checkpoint
from mintmark.tlog.kernel import TILE_WIDTH, leaf_hashes
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mintmark.mint.validation import AdmittedBatch, AppendRequest
    from mintmark.register.definitions import Definition
    from mintmark.store.log.model import Log
    from mintmark.store.mint.mint_store import StoredLog
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.note import Signer, Verifier

    Refusal = tuple[AppendRequest, Exception]


@dataclass(frozen=True, slots=True)
class MintState:
    """A log as the next commit finds it."""

    head: Head
    edge: Edge
    tail: Bundle | None  # the unfinished bundle
    rules: Rules | None  # None: an opaque log

    @classmethod
    def load(cls, log: Log, stored: StoredLog) -> MintState:
        """The state that a database holds. Raises Malformed, Rejected for a definition that is damaged there."""
        rules = None
        if log.kind == "register":
            items = {key: definition.item for key, definition in stored.definitions.items()}
            positions = {key: definition.index for key, definition in stored.definitions.items()}
            rules = Rules.load(items, stored.clocks, log.salted, positions)
        return cls(stored.head, stored.edge, stored.tail, rules)


def check_stored(log: Log, state: MintState, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The last signed head of a log, after a check that its rows agree with it.

    Raises:
        BadSignature: no key of the log signed it.
        Malformed: it is no checkpoint of the log.
        ProofError: the rows do not have the root that was signed.
    """
    head = open_checkpoint(state.head.note, log.origin, verifiers)
    tail = leaf_hashes(state.tail.entries) if state.tail else b""
    if (head.size, head.root) != (state.head.size, state.head.root) or state.edge.root() != head.root:
        raise ProofError(f"the rows of {log.origin} do not have the root it signed; run mintmark fsck", head.note)
    if tail != (state.edge.tiles[0] if state.tail else b""):
        raise ProofError(f"the last bundle of {log.origin} is not what it signed; run mintmark fsck", head.note)
    return head


def admit_all(
    state: MintState, requests: Sequence[AppendRequest], now: str
) -> tuple[list[AdmittedBatch], list[Refusal]]:
    """Admits requests in order, each after those before it. A refused one changes nothing for the others."""
    admitted: list[AdmittedBatch] = []
    refused: list[Refusal] = []
    rules, size = state.rules, state.head.size
    for request in requests:
        try:
            batch = admit(request, rules, size, now)
        except Exception as error:  # noqa: BLE001  # one request's failure is no other request's
            refused.append((request, error))
            continue
        admitted.append(batch)
        rules, size = batch.rules, size + request.count
    return admitted, refused


def erased_bundles(state: MintState, batches: Sequence[AdmittedBatch]) -> set[int]:
    """The bundles, finished before this commit, whose items the batches erase."""
    indices = {index // TILE_WIDTH for batch in batches for index in batch.erased}
    return {index for index in indices if index < state.head.size // TILE_WIDTH}


def repeated_erasures(state: MintState, batches: Sequence[AdmittedBatch], items: Mapping[int, bytes]) -> list[Refusal]:
    """The batches that erase an item again, each with its refusal; `items` as for `build_commit`.

    Raises:
        MintmarkError: the items of a bundle are lost or damaged.
    """
    refused: list[Refusal] = []
    erased: set[int] = set()
    for batch in batches:
        again = (index for index in batch.erased if index in erased or _is_erased(state, items, index))
        if not batch.request.legacy and (index := next(again, None)) is not None:
            refused.append((batch.request, at_entry(batch.erased[index], erased_already(index))))
        else:
            erased.update(batch.erased)
    return refused


def redefinitions_in_use(batches: Sequence[AdmittedBatch], used: Collection[str]) -> list[Refusal]:
    """The batches that give another datatype to a field that an entry before has a value of.

    `used` are those of the redefined fields that the entries of the log before the batches use.
    """
    refused: list[Refusal] = []
    for at, batch in enumerate(batches):
        for name, position in batch.redefined.items():
            if name in used or any(uses_field(*part, name) for part in _before(batches[: at + 1], position)):
                refused.append((batch.request, at_entry(position, in_use(name))))
                break
    return refused


def _before(batches: Sequence[AdmittedBatch], position: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries and items of these batches, of the last one those before a position."""
    for batch in batches[:-1]:
        yield batch.joined.entries, batch.joined.items
    last = batches[-1].joined
    yield bundle.take(last.entries, position), bundle.take(last.items, position)


def uses_field(entries: bytes, items: bytes, name: str) -> bool:
    """True if one of these records has a value of a field."""
    if f'"{name}":'.encode() not in items:
        return False
    rows = zip(bundle.cut(entries), bundle.cut(items), strict=True)
    return any(item and parse_entry(leaf).type == "user" and parse_item(item).get(name) for leaf, item in rows)


def _is_erased(state: MintState, items: Mapping[int, bytes], index: int) -> bool:
    if index >= state.head.size:
        return False
    number, offset = divmod(index, TILE_WIDTH)
    tail = state.tail
    joined = tail.items if tail is not None and tail.index == number else items.get(number, b"")
    return not _cut_items(number, joined, offset)[offset]


def build_commit(
    log: Log,
    before: MintState,
    batches: Sequence[AdmittedBatch],
    items: Mapping[int, bytes],
    signers: Sequence[Signer],
) -> tuple[MintState, MintCommit]:
    """The commit of admitted batches, checked and signed, and the state after it.

    `items` are the items of the older bundles that erasures touch, by bundle index.

    Raises:
        WriteMismatch: the second path to the root disagrees: a byte changed in memory. Nothing is signed.
        MintmarkError: the items of a bundle are lost or damaged.
    """
    edge, tiles = before.edge.extend(b"".join(batch.joined.hashes for batch in batches))
    erased = [index for batch in batches for index in batch.erased]
    bundles, items = erase_items(_rows(before, batches, edge.size), items, erased)
    root = edge.root()
    second_path.check_write(before.edge, before.head.root, bundles, tiles, edge.size, root)
    head = Head(edge.size, root, sign_checkpoint(log.origin, edge.size, root, signers).note)
    after = MintState(head, edge, bundles[-1] if edge.size % TILE_WIDTH else None, batches[-1].rules)
    requests = [AppendReceipt(b.request.id, b.request.digest, b.first, b.request.count) for b in batches]
    changes = _changed_rules(before.rules, after.rules)
    return after, MintCommit(log.id, before.head, head, tiles, bundles, requests, items, *changes)


def sign_again(log: Log, before: MintState, signers: Sequence[Signer]) -> tuple[MintState, MintCommit]:
    """The commit that changes nothing but the signatures of the head, and the state after it."""
    size, root = before.head.size, before.head.root
    head = Head(size, root, sign_checkpoint(log.origin, size, root, signers).note)
    return replace(before, head=head), MintCommit(log.id, before.head, head, {}, (), ())


def _rows(before: MintState, batches: Sequence[AdmittedBatch], end: int) -> list[Bundle]:
    """The bundles to be written, whole: the first begins with what the unfinished one holds.

    The entries are cut by the lengths within them, which were in order when they were admitted.
    """
    size, tail = before.head.size, before.tail
    try:
        entries = dict(bundle.split_bundle(b"".join(batch.joined.entries for batch in batches), size))
        items = dict(bundle.split_bundle(b"".join(batch.joined.items for batch in batches), size))
    except Malformed as error:
        raise WriteMismatch(f"the entries to be written cannot be cut into bundles: {error}") from error
    if items.keys() != (entries.keys() if before.rules is not None else set()):
        raise WriteMismatch("the items to be written are not parallel to the entries")
    rows = [
        Bundle(index, min(TILE_WIDTH, end - index * TILE_WIDTH), entries.get(index, b""), items.get(index, b""))
        for index in range(size // TILE_WIDTH, -(-end // TILE_WIDTH))
    ]
    if tail is not None:
        rows[0] = replace(rows[0], entries=tail.entries + rows[0].entries, items=tail.items + rows[0].items)
    return rows


def erase_items(
    rows: list[Bundle], items: Mapping[int, bytes], indices: Sequence[int]
) -> tuple[list[Bundle], dict[int, bytes]]:
    """The rows, and the items of older bundles, without the items at these indices.

    Raises:
        MintmarkError: the items of a bundle are damaged.
    """
    positions = {row.index: position for position, row in enumerate(rows)}
    older = dict(items)
    for index in indices:
        number, offset = divmod(index, TILE_WIDTH)
        if number in positions:
            row = rows[positions[number]]
            rows[positions[number]] = replace(row, items=_without(number, row.items, offset))
        elif number in older:
            older[number] = _without(number, older[number], offset)
    return rows, older


def _without(number: int, items: bytes, offset: int) -> bytes:
    cut = _cut_items(number, items, offset)
    cut[offset] = b""
    return bundle.join(cut)


def _cut_items(number: int, items: bytes, offset: int) -> list[bytes]:
    """The items of a bundle, one at `offset` among them."""
    try:
        cut = bundle.cut(items)
    except Malformed as error:
        raise MintmarkError(f"the items of bundle {number} are damaged: {error}; run mintmark fsck") from error
    if len(cut) <= offset:
        raise MintmarkError(f"bundle {number} has lost items; run mintmark fsck")
    return cut


def _changed_rules(before: Rules | None, after: Rules | None) -> tuple[dict[str, Definition], dict[str, str]]:
    """The definitions and clocks to be stored."""
    if before is None or after is None:
        return {}, {}
    return after.definitions_since(before), after.clocks_since(before)
