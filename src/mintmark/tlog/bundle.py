"""Entry bundles: (uint16 big-endian length, entry)*, at most 256 of them to a bundle (C2SP tlog-tiles).

A batch of any length has the same form. Items travel in it too, beside the entries that they belong to. Only here is it
known how long an entry may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.tlog import kernel
from mintmark.tlog.kernel import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ENTRY = 65_535  # bytes; what a uint16 can count


def join(entries: Iterable[bytes]) -> bytes:
    """Entries, each behind its length.

    Raises:
        Malformed: an entry longer than `MAX_ENTRY`.
    """
    try:
        return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])
    except OverflowError:
        raise Malformed(f"an entry is longer than {MAX_ENTRY:,} bytes") from None


def cut(bundle: bytes, count: int | None = None) -> list[bytes]:
    """The entries again; exactly `count` of them, where it is given.

    Raises:
        Malformed: the bytes end within an entry, or hold another number of entries.
    """
    entries = kernel.cut(bundle)
    if count is not None and len(entries) != count:
        raise Malformed(f"a bundle of {len(entries)} entries where {count} belong")
    return entries


def take(bundle: bytes, count: int) -> bytes:
    """The first `count` entries, still joined.

    Raises:
        Malformed: there are fewer.
    """
    end, taken = _skip(bundle, 0, count)
    if taken != count:
        raise Malformed(f"a bundle of {taken} entries where {count} belong")
    return bundle[:end]


def split_bundle(joined: bytes, first: int) -> list[tuple[int, bytes]]:
    """Cuts a joined batch that is appended at index `first` where bundles end: (bundle index, bytes), in order.

    Where `first` is within a bundle, the first piece is what goes behind the entries that the bundle already has.

    Raises:
        Malformed: the bytes end within an entry.
    """
    pieces, at = [], 0
    while at < len(joined):
        end, taken = _skip(joined, at, WIDTH - first % WIDTH)
        pieces.append((first // WIDTH, joined[at:end]))
        at, first = end, first + taken
    return pieces


def _skip(bundle: bytes, at: int, most: int) -> tuple[int, int]:
    """Where the next `most` entries end, or all that are left; and how many they are."""
    taken = 0
    while taken < most and at < len(bundle):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
        taken += 1
    if at > len(bundle):
        raise Malformed("truncated entry bundle")
    return at, taken
