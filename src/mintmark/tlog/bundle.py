"""Entry bundles: (uint16 big-endian length, entry)*, at most 256 of them to a bundle (C2SP tlog-tiles).

A batch of any length has the same form, and so have items, which travel beside their entries.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.tlog import kernel
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ENTRY_BYTES = 65_535  # the largest uint16


def join(entries: Iterable[bytes]) -> bytes:
    """Entries, each behind its length.

    Raises:
        Malformed: an entry longer than `MAX_ENTRY_BYTES`.
    """
    try:
        return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])
    except OverflowError:
        raise Malformed(f"an entry is longer than {MAX_ENTRY_BYTES:,} bytes") from None


def cut(bundle: bytes, count: int | None = None) -> list[bytes]:
    """The entries of a bundle; exactly `count` of them, where it is given.

    Raises:
        Malformed: the bytes end within an entry, or hold another number of entries.
    """
    entries = kernel.cut(bundle)
    if count is not None and len(entries) != count:
        raise Malformed(f"a bundle of {len(entries)} entries where {count} belong")
    return entries


def count_entries(bundle: bytes) -> int:
    """The number of entries. Raises Malformed where the bytes end within one."""
    return kernel.skip(bundle, 0, len(bundle))[1]


def check(bundle: bytes, count: int) -> None:
    """Raises Malformed unless these are `count` whole entries."""
    if (found := count_entries(bundle)) != count:
        raise Malformed(f"{found} entries where {count} belong")


def digest(entries: bytes, items: bytes) -> bytes:
    """The digest that a client sends with a batch: SHA-256(SHA-256(entries) || SHA-256(items))."""
    return sha256(sha256(entries).digest() + sha256(items).digest()).digest()


def take(bundle: bytes, count: int) -> bytes:
    """The first `count` entries, still joined.

    Raises:
        Malformed: there are fewer.
    """
    end, taken = kernel.skip(bundle, 0, count)
    if taken != count:
        raise Malformed(f"a bundle of {taken} entries where {count} belong")
    return bundle[:end]


def split_bundle(joined: bytes, first: int) -> list[tuple[int, bytes]]:
    """Cuts a joined batch that is appended at index `first` where bundles end: (bundle index, bytes), in order.

    Where `first` is within a bundle, the first piece goes behind the entries that the bundle already has.

    Raises:
        Malformed: the bytes end within an entry.
    """
    pieces, at = [], 0
    while at < len(joined):
        end, taken = kernel.skip(joined, at, TILE_WIDTH - first % TILE_WIDTH)
        pieces.append((first // TILE_WIDTH, joined[at:end]))
        at, first = end, first + taken
    return pieces
