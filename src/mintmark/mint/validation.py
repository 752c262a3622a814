"""Batches to be appended: what a client sent, checked first without the log, and then admitted to it.

    request ── make_request ──> AppendRequest ── admit ──> AdmittedBatch

A register applies its rules entry by entry, each against the schema in force at its position; an opaque log admits any
bytes. A batch is admitted whole or not at all: a refusal names the entry, and leaves the rules as they were before it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Forbidden, Malformed, MintmarkError, Rejected
from mintmark.register import canonical
from mintmark.register.entry import Entry, begins_register, format_entry, parse_entry
from mintmark.register.item import SALT, item_hash, salt
from mintmark.register.reduce import erased_by
from mintmark.tlog import bundle
from mintmark.tlog.kernel import HASH_BYTES, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mintmark.register.entry import EntryType
    from mintmark.register.rules import Rules

MAX_BATCH_ENTRIES = 32_768
REQUEST_ID_BYTES = 16


class JoinedEntries(NamedTuple):
    """Entries as (uint16 length, entry)*, their items likewise (none in an opaque log), and their leaf hashes."""

    entries: bytes
    items: bytes
    hashes: bytes


class RecordDraft(NamedTuple):
    """A register entry to be made: `item` is any spelling of JSON, empty for a tombstone; `timestamp` None: now."""

    key: str
    item: bytes
    type: EntryType
    timestamp: str | None


RecordDrafts = tuple[RecordDraft, ...]


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """A batch as a client sent it: entries, or drafts of which the mint makes entries.

    `digest` tells whether a request that comes again is the same; `size` is in bytes.
    """

    id: bytes
    digest: bytes
    content: JoinedEntries | RecordDrafts
    count: int
    size: int
    may_erase: bool = False
    legacy: bool = False  # admits the known faults of old data


@dataclass(frozen=True, slots=True)
class AdmittedBatch:
    """A batch as it goes into the log from index `first` on, and the rules that it leaves there."""

    request: AppendRequest
    first: int
    joined: JoinedEntries
    rules: Rules | None  # None: an opaque log
    erased: Mapping[int, int]  # index of the erased entry -> position of the erasure in the batch
    redefined: Mapping[str, int] = field(default_factory=dict)  # field with another datatype -> position in the batch
    warnings: Sequence[str] = ()


def make_request(
    id: bytes, entries: bytes, items: bytes, claimed: bytes, *, may_erase: bool, legacy: bool
) -> AppendRequest:
    """The request of joined entries, whose digest the client claims.

    Raises:
        Malformed: a request id of another length, no entry, too many, bytes that end within one, or another digest: a
            byte changed on the way.
    """
    check_id(id)
    if not hmac.compare_digest(bundle.digest(entries, items), claimed):
        raise Malformed("the entries do not have the digest sent with them: a byte changed on the way; send them again")
    hashes = leaf_hashes(entries)
    count = len(hashes) // HASH_BYTES
    check_count(count)
    joined = JoinedEntries(entries, items, hashes)
    return AppendRequest(id, claimed, joined, count, len(entries) + len(items), may_erase, legacy)


def check_id(id: bytes) -> None:
    """Raises Malformed for bytes of another length than a request id's."""
    if len(id) != REQUEST_ID_BYTES:
        advice = f"make {REQUEST_ID_BYTES} random ones, and send them again with every retry"
        raise Malformed(f"a request id of {len(id)} bytes; {advice}")


def check_count(count: int) -> None:
    """Raises Malformed for a batch of no entries, or of too many."""
    if not 1 <= count <= MAX_BATCH_ENTRIES:
        raise Malformed(f"a batch of {count} entries; send 1 to {MAX_BATCH_ENTRIES:,}")


def admit(request: AppendRequest, rules: Rules | None, first: int, now: str) -> AdmittedBatch:
    """Admits a batch, whose first entry gets index `first`; `now` is the mint's time as a timestamp.

    Raises:
        Rejected: the rules refuse an entry; names the rule, the field and the position in the batch.
        Forbidden: an erasure, for which the client has no right.
        Malformed: items that are not parallel to the entries.
    """
    if rules is None:
        return _admit_opaque(request, first)
    state = _Admission(request, rules, first, now)
    content = request.content
    joined = _admit_joined(state, content) if isinstance(content, JoinedEntries) else _admit_drafts(state, content)
    return AdmittedBatch(request, first, joined, state.rules, state.erased, state.redefined, state.warnings)


@dataclass
class _Admission:
    """A batch of a register that is being admitted; thrown away where an entry is refused."""

    request: AppendRequest
    rules: Rules
    first: int
    now: str
    erased: dict[int, int] = field(default_factory=dict)
    redefined: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def _admit_opaque(request: AppendRequest, first: int) -> AdmittedBatch:
    joined = request.content
    if not isinstance(joined, JoinedEntries) or joined.items:
        raise Rejected("this log is opaque: it has entries, and no items", rule="kind")
    if first == 0 and begins_register(bundle.cut(bundle.take(joined.entries, 1))[0]):
        raise Rejected(
            "only a register begins with a register's entry: create the log with --kind register", rule="kind"
        )
    return AdmittedBatch(request, first, joined, None, {})


def _admit_joined(state: _Admission, joined: JoinedEntries) -> JoinedEntries:
    rows = zip(bundle.cut(joined.entries), _cut_items(joined.items, state.request.count), strict=True)
    index = 0
    try:
        for index, (leaf, item) in enumerate(rows):
            _admit_entry(state, index, parse_entry(leaf), item)
    except MintmarkError as error:
        raise at_entry(index, error) from None
    return joined


def _cut_items(items: bytes, count: int) -> list[bytes]:
    if not items:
        raise Rejected("this log is a register: its entries have items; append records by key and item", rule="kind")
    try:
        return bundle.cut(items, count)
    except Malformed as error:
        raise Malformed(f"the items: {error}; a register's entry has one beside it, empty for a tombstone") from None


def _admit_drafts(state: _Admission, drafts: Iterable[RecordDraft]) -> JoinedEntries:
    leaves, items, index = list[bytes](), list[bytes](), 0
    try:
        for index, draft in enumerate(drafts):
            entry, item = _make_entry(state, draft)
            _admit_entry(state, index, entry, item)
            leaves.append(format_entry(entry))
            items.append(item)
    except MintmarkError as error:
        raise at_entry(index, error) from None
    entries = bundle.join(leaves)
    return JoinedEntries(entries, bundle.join(items), leaf_hashes(entries))


def _make_entry(state: _Admission, draft: RecordDraft) -> tuple[Entry, bytes]:
    """The entry and the item of a draft. A time of the mint's own never runs backwards, even where its clock does."""
    time = draft.timestamp or max(state.now, state.rules.clocks.get(draft.type, ""))
    if not draft.item:
        return Entry(draft.key, time, draft.type, None), b""
    members = canonical.loads(draft.item)
    if state.rules.salted and draft.type == "user" and SALT not in members:
        members = salt(members)
    item = canonical.format(members)
    return Entry(draft.key, time, draft.type, item_hash(item)), item


def _admit_entry(state: _Admission, index: int, entry: Entry, item: bytes) -> None:
    """Admits the entry at position `index` of the batch."""
    size, legacy, before = state.first + index, state.request.legacy, state.rules
    state.rules, warnings = state.rules.admit(entry, item or None, now=state.now, size=size, legacy=legacy)
    state.warnings += (f"entry {index}: {warning}" for warning in warnings)
    if entry.type == "system" and (erased := erased_by(size, entry)) is not None:
        _check_erasure(state, erased)
        state.erased[erased] = index
    name = entry.key.removeprefix("field:")
    if name != entry.key and "user" in before.clocks and before.schema.redefines(state.rules.schema, name):
        state.redefined[name] = index


def _check_erasure(state: _Admission, index: int) -> None:
    """Checks what the rules leave open: the right to erase the item at `index`, and that nothing rests on it."""
    if not state.request.may_erase:
        raise Forbidden("to erase needs the right erase; tokens.toml gives it")
    if index in state.erased and not state.request.legacy:
        raise erased_already(index)
    for key, defined in state.rules.positions.items():
        if defined == index:
            raise Rejected(f"entry {index} defines {key} for now; append another definition first", rule="erasure")
    if not state.rules.salted:
        state.warnings.append(f"item {index} has no salt: its hash, which stays, gives it away to who can guess it")


def in_use(name: str) -> Rejected:
    """The refusal of another datatype or cardinality for a field that an entry has a value of."""
    return Rejected(f"field {name} is in use: its datatype and cardinality stay", rule="schema", field=name)


def erased_already(index: int) -> Rejected:
    """The refusal of an erasure that would stay in the log for good, and erase nothing."""
    return Rejected(f"item {index} is erased already, or entry {index} ends a record and had none", rule="erasure")


def at_entry(index: int, error: MintmarkError) -> MintmarkError:
    """The same refusal, with the entry's position in the batch."""
    if isinstance(error, Forbidden):
        return Forbidden(f"entry {index}: {error}")
    rule, name = (error.rule, error.field) if isinstance(error, Rejected) else ("entry", "")
    return Rejected(f"entry {index}: {error}", rule=rule, field=name, index=index)
