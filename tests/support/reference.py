"""The recursions of the specifications, letter by letter: slow, obvious, and written without a look at `mintmark.tlog`.

RFC 6962 section 2.1 (MTH, PATH, PROOF, SUBPROOF) and the Merkle Tree Certificates draft, "Subtrees" (SUB). D is a tuple
of entries; what only saves time is `cache`.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

D = tuple[bytes, ...]


def k_of(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


@cache
def mth(d: D) -> bytes:
    if not d:
        return sha256(b"").digest()
    if len(d) == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = k_of(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: D) -> list[bytes]:
    if len(d) == 1:
        return []
    k = k_of(len(d))
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: D) -> list[bytes]:
    return subproof(m, d, True)


def subproof(m: int, d: D, b: bool) -> list[bytes]:
    if m == len(d):
        return [] if b else [mth(d)]
    k = k_of(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def sub(start: int, end: int, d: D, b: bool = True) -> list[bytes]:
    if start == 0 and end == len(d):
        return [] if b else [mth(d)]
    k = k_of(len(d))
    if end <= k:
        return [*sub(start, end, d[:k], b), mth(d[k:])]
    if start >= k:
        return [*sub(start - k, end - k, d[k:], b), mth(d[:k])]
    return [*sub(0, end - k, d[k:], False), mth(d[:k])]


def valid(start: int, end: int) -> bool:
    """Start is a multiple of BIT_CEIL(end - start)."""
    ceil = 1
    while ceil < end - start:
        ceil *= 2
    return 0 <= start <= end and start % ceil == 0


def tile(level: int, index: int, d: D) -> bytes:
    """The hashes of a tile (C2SP tlog-tiles): hash i is MTH(D[(256n+i)*256^l : (256n+i+1)*256^l]), full ones only."""
    span = 256**level
    starts = range(index * 256 * span, min((index + 1) * 256 * span, len(d) // span * span), span)
    return b"".join(mth(d[at : at + span]) for at in starts)
