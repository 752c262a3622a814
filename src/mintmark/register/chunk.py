"""From a verified chunk of a register log to its entries and items.

A `VerifiedChunk` proves the leaves. Items are outside the tree, each bound by the hash in its leaf, so they are proven
here: no byte beside an entry that the entry does not bind gets through. What the proven bytes say is another matter: a
leaf or an item that does not parse is in the log all the same, and is passed on without a meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError
from mintmark.register.entry import begins_register
from mintmark.register.kernel import open_rows
from mintmark.tlog import bundle
from mintmark.tlog.kernel import HASH, WIDTH

if TYPE_CHECKING:
    from mintmark.register.entry import Row
    from mintmark.tlog.trust import VerifiedChunk


def is_of_kind(first: VerifiedChunk, kind: str) -> bool:
    """Whether a log that begins with this chunk is a register, or opaque, as is said of it."""
    return begins_register(bundle.cut(first.bundles[0].entries)[0]) == (kind == "register")


def open_chunk(chunk: VerifiedChunk) -> list[Row]:
    """The chunk's new entries [start, end), in order.

    Raises:
        ProofError: an item that its entry does not bind, or items not parallel to the entries; names the index.
    """
    rows: list[Row] = []
    for part in chunk.bundles:
        first = part.index * WIDTH
        start = max(chunk.start, first)
        at = (start - chunk.start) * HASH
        hashes = chunk.hashes[at : at + (first + part.width - start) * HASH]
        try:
            rows += open_rows(first, start - first, hashes, part.entries, part.items)
        except Malformed as error:
            raise ProofError(f"the items from index {first} on are not those of its entries: {error}") from None
    return rows
