"""Proof files for the tests, made from a world that no server stands between; and a reader that knows our extra not."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from mintmark.tlog import prove
from mintmark.tlog.proof_file import ProofFile, ProofParts, format_parts, format_proof

if TYPE_CHECKING:
    from tests.support.world import World


def proof_file(world: World, index: int, parts: ProofParts | bytes | None = None, note: bytes = b"") -> bytes:
    """The proof of an entry at the newest head of a world; its parts, or a whole extra, may be another's."""
    if parts is None:
        parts = ProofParts(world.entries_[index], world.items[index] if world.items else None)
    extra = parts if isinstance(parts, bytes) else format_parts(parts)
    hashes = tuple(prove.prove(prove.inclusion_spans(index, world.size), world.tiles))
    return format_proof(ProofFile(index, hashes, note or world.notes[-1], extra))


def proves_inclusion(file: bytes, leaf: bytes) -> bool:
    """True if a C2SP tlog-proof shows that a leaf is in the tree of its checkpoint, whose signatures are not looked at.

    Written from the specifications alone (tlog-proof; RFC 9162 section 2.1.3.2); it steps over `extra`.
    """
    head, _, note = file.partition(b"\n\n")
    header, *lines = head.split(b"\n")
    if header != b"c2sp.org/tlog-proof@v1":
        return False
    lines = [line for line in lines if not line.startswith(b"extra ")]
    fn, proof = int(lines[0].removeprefix(b"index ")), [base64.b64decode(line) for line in lines[1:]]
    _, size, root, *_ = note.split(b"\n")
    sn, r = int(size) - 1, hashlib.sha256(b"\0" + leaf).digest()
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\1" + p + r).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\1" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and base64.b64decode(root) == r
