"""One proof for everything: "the subtree [start, end) is part of the tree of `size`".

    end == start + 1   RFC 6962 section 2.1.1: an inclusion proof
    start == 0         RFC 6962 section 2.1.2: a consistency proof
    else               Merkle Tree Certificates draft, "Subtrees": a part of a download, authenticated alone

Rules: 0 <= start < end <= size < 2^63. An empty subtree proves nothing and is refused; so there is no proof from size
0. A proof has exactly the hashes that its question asks for. Its roots are computed first, then compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import ProofError
from mintmark.tlog.kernel import HASH_BYTES, MAX_SIZE, node

if TYPE_CHECKING:
    from collections.abc import Sequence

Span = tuple[int, int]  # [start, end)


def check_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Checks that the entry at `index` is part of the tree of `size` with this root.

    Raises:
        ProofError: it is not shown to be.
    """
    check_subtree(index, index + 1, size, leaf_hash, root, proof)


def check_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree of `size` begins with the tree of `old_size`, which is not empty.

    Raises:
        ProofError: it is not shown to.
    """
    check_subtree(0, old_size, size, old_root, root, proof)


def check_subtree(start: int, end: int, size: int, subtree_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the subtree [start, end) with its root is part of the tree of `size` with this root.

    Raises:
        ProofError: it is not shown to be.
    """
    if {len(subtree_root), len(root)} != {HASH_BYTES}:
        raise ProofError(f"a root is {HASH_BYTES} bytes")
    if roots(start, end, size, subtree_root, proof) != (subtree_root, root):
        which = f"entry {start} is" if end == start + 1 else f"entries [{start}, {end}) are"
        raise ProofError(f"{which} not shown to be part of the signed tree of {size}")


def roots(start: int, end: int, size: int, seed: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of [start, end) and of [0, size) that a proof implies, if `seed` is the root of [start, end).

    Raises:
        ProofError: no such subtree, a hash of another length, or another number of hashes than the proof has.
    """
    if not (valid_subtree(start, end) and end <= size <= MAX_SIZE):
        raise ProofError(f"[{start}, {end}) is no subtree of a tree of {size}")
    spans = proof_spans(start, end, size)
    if len(spans) != len(proof):
        raise ProofError(f"{len(proof)} hashes in a proof of {len(spans)}")
    if any(len(sibling) != HASH_BYTES for sibling in proof):
        raise ProofError(f"a hash in a proof is {HASH_BYTES} bytes")
    steps = list(zip(spans, proof, strict=True))
    if (
        steps and start <= steps[0][0][0] < end
    ):  # where both trees end differently, they start from a part of [start, end)
        (_, seed), *steps = steps
    subtree = root = seed
    for (first, _), sibling in steps:
        if first >= end:
            root = node(root, sibling)
        else:
            root = node(sibling, root)
            if first >= start:
                subtree = node(sibling, subtree)
    return subtree, root


def proof_spans(start: int, end: int, size: int) -> list[Span]:
    """The spans whose roots make up the proof of a valid subtree, in the RFC's order: from the leaves to the root."""
    low, high, spans = 0, size, []
    whole = True  # [start, end) is one node of the tree, so the checker can know its root
    while (start, end) != (low, high):
        middle = low + split(high - low)
        if end <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
            if start < middle:
                start, whole = middle, False
    return spans[::-1] if whole else [(low, high), *spans[::-1]]


def split(size: int) -> int:
    """The largest power of two below `size`: where a tree of two or more entries divides."""
    return 1 << ((size - 1).bit_length() - 1)


def valid_subtree(start: int, end: int) -> bool:
    """True if [start, end) is a subtree: not empty, `start` a multiple of the smallest power of two >= its length."""
    return 0 <= start < end <= MAX_SIZE and start % (1 << (end - start - 1).bit_length()) == 0


def next_chunk(start: int, size: int, most: int) -> int:
    """The end of the largest aligned subtree from `start`, a multiple of 256, that has at most `most` (>= 256) entries.

    It has 2^k entries, or ends with the tree of `size`.
    """
    width = 1 << (most.bit_length() - 1)
    return min(size, start + (min(width, start & -start) or width))


def covering(start: int, end: int) -> tuple[Span, Span]:
    """The two adjacent subtrees that cover [start, end). The first may begin before it, the second may be empty."""
    if end - start <= 1:
        return (start, end), (end, end)
    last = end - 1
    bits = (start ^ last).bit_length() - 1  # below the highest bit in which start and last differ
    below = (1 << bits) - 1
    middle = last & ~below
    left = (~start & below).bit_length()
    return (start >> left << left, middle), (middle, end)
