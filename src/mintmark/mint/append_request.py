"""A batch that waits to be appended: what a client sent, checked as far as that can be without the log.

Joined   entries as bundle bytes, with their items beside them in a register
Drafts   register entries whose leaves the mint makes
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed
from mintmark.tlog import bundle
from mintmark.tlog.kernel import HASH, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.register.entry import EntryType

MAX_ENTRIES = 32_768  # in a batch
ID = 16  # bytes


class JoinedEntries(NamedTuple):
    """Entries as they were sent: (uint16 length, entry)*, their items likewise, and their leaf hashes."""

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
    """A batch, all of which is appended or none. `digest` is of what the client sent; `size` in bytes."""

    id: bytes
    digest: bytes
    batch: JoinedEntries | RecordDrafts
    count: int
    size: int
    erase: bool = False  # may hold erasures
    legacy: bool = False  # admits the known faults of old data


class Appended(NamedTuple):
    """Where a batch stands, a checkpoint that covers it, and what the legacy mode admitted."""

    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count, which says nothing about a batch
    note: bytes
    warnings: Sequence[str] = ()


def joined_request(
    id: bytes, entries: bytes, items: bytes, claimed: bytes, *, erase: bool, legacy: bool
) -> AppendRequest:
    """The request of an append.

    Raises:
        Malformed: a request id of another length, no entry, too many, bytes that end within one, or another digest than
            the client computed: a byte changed on the way.
    """
    check_id(id)
    if not hmac.compare_digest(bundle.digest(entries, items), claimed):
        raise Malformed("the entries do not have the digest sent with them: a byte changed on the way; send them again")
    hashes = leaf_hashes(entries)
    count = len(hashes) // HASH
    check_count(count)
    return AppendRequest(
        id, claimed, JoinedEntries(entries, items, hashes), count, len(entries) + len(items), erase, legacy
    )


def check_id(id: bytes) -> None:
    """Raises Malformed for what is no request id."""
    if len(id) != ID:
        raise Malformed(f"a request id of {len(id)} bytes; make {ID} random ones, and send them again with every retry")


def check_count(count: int) -> None:
    """Raises Malformed for a batch of no entries, or of too many."""
    if not 1 <= count <= MAX_ENTRIES:
        raise Malformed(f"a batch of {count} entries; send 1 to {MAX_ENTRIES:,}")
