"""Admitting a batch to a log: the register's rules entry by entry, each against the schema in force at its position.

A batch is admitted whole or not at all: a refusal names the entry, and leaves the rules that the batch started from. An
opaque log admits any bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Forbidden, Malformed, MintmarkError, Rejected
from mintmark.mint.append_request import JoinedEntries
from mintmark.register import canonical
from mintmark.register.entry import Entry, begins_register, format_entry, parse_entry
from mintmark.register.item import SALT, item_hash, salt
from mintmark.register.reduce import defined_key, erased_by
from mintmark.tlog import bundle
from mintmark.tlog.kernel import leaf_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mintmark.mint.append_request import AppendRequest, RecordDraft
    from mintmark.register.rules import Rules


class Admission(NamedTuple):
    """What a register's batch is admitted by, and changes: `defined` says where each definition in force stands."""

    rules: Rules
    defined: Mapping[str, int]


@dataclass
class _Batch:
    """The state of admitting one batch; thrown away where an entry is refused."""

    request: AppendRequest
    rules: Rules
    defined: dict[str, int]
    first: int
    now: str
    leaves: list[bytes] = field(default_factory=list)
    items: list[bytes] = field(default_factory=list)
    erased: dict[int, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Admitted(NamedTuple):
    """A batch as it goes into the log: joined entries and items, leaf hashes, and what they change."""

    entries: bytes
    items: bytes
    hashes: bytes
    after: Admission | None  # None: an opaque log
    erased: Mapping[int, int]  # index -> where in the batch the erasure is
    warnings: Sequence[str] = ()


def admit_opaque(request: AppendRequest, first: int) -> Admitted:
    """A batch of an opaque log, whose first entry gets index `first`. Raises Rejected where it is one of a register."""
    if not isinstance(request.batch, JoinedEntries) or request.batch.items:
        raise Rejected("this log is opaque: it has entries, and no items", rule="kind")
    if first == 0 and begins_register(bundle.cut(bundle.take(request.batch.entries, 1))[0]):
        raise Rejected(
            "only a register begins with a register's entry: create the log with --kind register", rule="kind"
        )
    return Admitted(request.batch.entries, b"", request.batch.hashes, None, {})


def admit_entries(request: AppendRequest, before: Admission, first: int, now: str) -> Admitted:
    """A batch of a register, whose first entry gets index `first`; `now` is the mint's time as a timestamp.

    Raises:
        Rejected: the rules refuse an entry; says which rule, field and index in the batch.
        Forbidden: an erasure, which the request may not hold.
    """
    batch = _Batch(request, before.rules, dict(before.defined), first, now)
    if isinstance(request.batch, JoinedEntries):
        entries, items, hashes = request.batch
        _admit_each(batch, zip(bundle.cut(entries), _parallel(items, request.count), strict=True))
    else:
        _admit_drafts(batch, request.batch)
        entries, items = bundle.join(batch.leaves), bundle.join(batch.items)
        hashes = leaf_hashes(entries)
    return Admitted(entries, items, hashes, Admission(batch.rules, batch.defined), batch.erased, batch.warnings)


def _parallel(items: bytes, count: int) -> list[bytes]:
    if not items:
        raise Rejected("this log is a register: its entries have items; append records by key and item", rule="kind")
    try:
        return bundle.cut(items, count)
    except Malformed as error:
        raise Malformed(f"the items: {error}; a register's entry has one beside it, empty for a tombstone") from None


def _admit_each(batch: _Batch, rows: Iterable[tuple[bytes, bytes]]) -> None:
    index = 0
    try:
        for index, (leaf, item) in enumerate(rows):
            _admit(batch, index, parse_entry(leaf), item)
    except MintmarkError as error:
        raise at_entry(index, error) from None


def _admit_drafts(batch: _Batch, drafts: Sequence[RecordDraft]) -> None:
    index = 0
    try:
        for index, draft in enumerate(drafts):
            entry, item = _make(batch, draft)
            _admit(batch, index, entry, item)
            batch.leaves.append(format_entry(entry))
            batch.items.append(item)
    except MintmarkError as error:
        raise at_entry(index, error) from None


def _admit(batch: _Batch, index: int, entry: Entry, item: bytes) -> None:
    position = batch.first + index
    legacy = batch.request.legacy
    batch.rules, warnings = batch.rules.admit(entry, item or None, now=batch.now, size=position, legacy=legacy)
    batch.warnings += (f"entry {index}: {warning}" for warning in warnings)
    if entry.type == "system":
        if (key := defined_key(entry)) is not None:
            batch.defined[key] = position
        elif (erased := erased_by(position, entry)) is not None:
            _check_erasure(batch, erased)
            batch.erased[erased] = index


def _check_erasure(batch: _Batch, index: int) -> None:
    if not batch.request.erase:
        raise Forbidden("to erase needs the right erase; tokens.toml gives it")
    if index in batch.erased and not batch.request.legacy:
        raise erased_already(index)
    for key, defined in batch.defined.items():
        if defined == index:
            raise Rejected(f"entry {index} defines {key} for now; append another definition first", rule="erasure")
    if not batch.rules.salted:
        batch.warnings.append(f"item {index} has no salt: its hash, which stays, gives it away to who can guess it")


def erased_already(index: int) -> Rejected:
    """The refusal of an erasure that would stay in the log for good, and erase nothing."""
    return Rejected(f"item {index} is erased already, or entry {index} ends a record and had none", rule="erasure")


def _make(batch: _Batch, draft: RecordDraft) -> tuple[Entry, bytes]:
    """The entry and the item of a draft. A time of the mint's own never runs backwards, whatever its clock does."""
    time = draft.timestamp or max(batch.now, batch.rules.clocks.get(draft.type, ""))
    if not draft.item:
        return Entry(draft.key, time, draft.type, None), b""
    members = canonical.loads(draft.item)
    if batch.rules.salted and draft.type == "user" and SALT not in members:
        members = salt(members)
    item = canonical.format(members)
    return Entry(draft.key, time, draft.type, item_hash(item)), item


def at_entry(index: int, error: MintmarkError) -> MintmarkError:
    """The same refusal, naming the entry."""
    if isinstance(error, Forbidden):
        return Forbidden(f"entry {index}: {error}")
    rule, name = (error.rule, error.field) if isinstance(error, Rejected) else ("entry", "")
    return Rejected(f"entry {index}: {error}", rule=rule, field=name, index=index)
