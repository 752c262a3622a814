"""Proof files: an entry is in a log, to be checked with the log's key alone (C2SP tlog-proof).

c2sp.org/tlog-proof@v1
extra <base64>                  optional; the checkpoint does not cover it
index <decimal>
<hash in base64>                none to 63, the leaf's sibling first

<checkpoint>                    as it was signed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.merkle import check_inclusion
from mintmark.tlog.text import format_base64, parse_base64, parse_decimal, parse_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

MAX_PROOF_HASHES = 63  # in a tree of less than 2^63 entries
_HEADER = b"c2sp.org/tlog-proof@v1"


class ProofFile(NamedTuple):
    """The content of a proof file: the entry's index, the hashes of its inclusion proof, and a checkpoint's note."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a proof
    hashes: Sequence[bytes]
    checkpoint: bytes
    extra: bytes | None = None


def format_proof(proof: ProofFile) -> bytes:
    """The bytes of a proof file."""
    extra = [] if proof.extra is None else [b"extra " + format_base64(proof.extra)]
    hashes = [format_base64(digest) for digest in proof.hashes]
    return b"\n".join([_HEADER, *extra, b"index %d" % proof.index, *hashes, b"", proof.checkpoint])


def parse_proof(data: bytes) -> ProofFile:
    """The content of a proof file. The checkpoint is not parsed; nothing is verified.

    Raises:
        Malformed: anything that `format_proof` would not have made.
    """
    head, empty_line, checkpoint = data.partition(b"\n\n")
    header, *lines = head.split(b"\n")
    if not empty_line or header != _HEADER:
        raise Malformed(f"not a proof: its first line is {_HEADER.decode()}, and an empty line precedes the checkpoint")
    extra = parse_base64(lines.pop(0)[6:]) if lines and lines[0].startswith(b"extra ") else None
    if not lines or not lines[0].startswith(b"index "):
        raise Malformed("a proof names the entry's index")
    index, *hashes = lines
    if len(hashes) > MAX_PROOF_HASHES:
        raise Malformed(f"{len(hashes)} hashes of proof; no proof has more than {MAX_PROOF_HASHES}")
    return ProofFile(parse_decimal(index[6:]), tuple(map(parse_hash, hashes)), checkpoint, extra)


def check_proof_file(proof: ProofFile, leaf_hash: bytes, origin: str, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint that shows the entry with this leaf hash at `proof.index` in the log `origin`.

    Raises:
        Malformed: no checkpoint, or another log's.
        BadSignature: none of the log's keys signed it, or the signature of one does not verify.
        ProofError: the entry is not shown to be there. Carries the checkpoint's note.
    """
    head = open_checkpoint(proof.checkpoint, origin, verifiers)
    check_inclusion(proof.index, head.size, leaf_hash, proof.hashes, head.root)
    return head
