"""Proof files: an entry is in a log, to be checked with the log's key alone (C2SP tlog-proof).

c2sp.org/tlog-proof@v1
extra <base64>                  optional; the checkpoint does not cover it
index <decimal>
<hash in base64>                none to 63, the leaf's sibling first

<checkpoint>                    as it was signed

Our own extra holds what the proof is about, so that one file is enough. The parts stand in the order of PARTS, each at
most once; nothing stands between them:

mintmark/proof@v1
<name> <decimal length>
<bytes>

Each part is bound by another: the entry by the hashes, the item by its hash in the entry. Whoever uses a part checks
that first. A reader that does not know them passes over the extra, and has an inclusion proof.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.merkle import check_inclusion
from mintmark.tlog.text import format_base64, parse_base64, parse_decimal, parse_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

MAX_PROOF_BYTES = 2**20
MAX_PROOF_HASHES = 63  # in a tree of less than 2^63 entries
PARTS = ("entry", "item", "statement", "index-proof", "shown", "chain")
KNOWN_PARTS = ("entry", "item")  # the others are reserved
_HEADER = b"c2sp.org/tlog-proof@v1"
_OWN_EXTRA = b"mintmark/"
_PARTS_HEADER = b"mintmark/proof@v1\n"
_PART = re.compile(rb"([a-z-]{1,20}) (0|[1-9][0-9]{0,6})\n")


class ProofFile(NamedTuple):
    """The content of a proof file: the entry's index, the hashes of its inclusion proof, and a checkpoint's note."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a proof
    hashes: Sequence[bytes]
    checkpoint: bytes
    extra: bytes | None = None


class ProofParts(NamedTuple):
    """The parts of a proof file's extra: the entry's bytes, and its item's where there is one."""

    entry: bytes
    item: bytes | None = None


def format_proof(proof: ProofFile) -> bytes:
    """The bytes of a proof file. Raises Malformed where they are more than MAX_PROOF_BYTES."""
    extra = [] if proof.extra is None else [b"extra " + format_base64(proof.extra)]
    hashes = [format_base64(digest) for digest in proof.hashes]
    data = b"\n".join([_HEADER, *extra, b"index %d" % proof.index, *hashes, b"", proof.checkpoint])
    _check_length(data)
    return data


def parse_proof(data: bytes) -> ProofFile:
    """The content of a proof file. The checkpoint is not parsed; nothing is verified.

    Raises:
        Malformed: anything that `format_proof` would not have made.
    """
    _check_length(data)
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


def _check_length(data: bytes) -> None:
    if len(data) > MAX_PROOF_BYTES:
        raise Malformed(f"not a proof: more than {MAX_PROOF_BYTES:,} bytes")


def format_parts(parts: ProofParts) -> bytes:
    """The extra of a proof file with these parts."""
    held = [(name, part) for name, part in zip(KNOWN_PARTS, parts, strict=True) if part is not None]
    return _PARTS_HEADER + b"".join([b"%b %d\n%b" % (name.encode(), len(part), part) for name, part in held])


def parse_parts(extra: bytes | None) -> ProofParts | None:
    """The parts in a proof file's extra. They are not checked: nothing of an extra is signed.

    None where there is no extra, or one of somebody else's format, which begins otherwise.

    Raises:
        Malformed: it begins as ours, and is not what `format_parts` makes: another version, an unknown or reserved
            part, one that comes twice or out of order, bytes missing or left over, an item without its entry.
    """
    if extra is None or not extra.startswith(_OWN_EXTRA):
        return None
    if not extra.startswith(_PARTS_HEADER):
        raise Malformed(f"an extra of another version than {_PARTS_HEADER.decode().rstrip()}")
    found: dict[str, bytes] = {}
    at = len(_PARTS_HEADER)
    while at < len(extra):
        name, part, at = _parse_part(extra, at)
        if found and PARTS.index(name) <= PARTS.index([*found][-1]):
            raise Malformed(f"the part {name!r} comes twice or too late; the order is {', '.join(PARTS)}")
        found[name] = part
    if "entry" not in found:
        raise Malformed("an extra without the entry: nothing binds its other parts")
    return ProofParts(**found)


def _parse_part(extra: bytes, at: int) -> tuple[str, bytes, int]:
    """The part at a position: its name, its bytes, and where they end."""
    if not (head := _PART.match(extra, at)):
        raise Malformed(f"byte {at:,} of the extra is not the beginning of a part (<name> <length>)")
    name, start, end = head[1].decode(), head.end(), head.end() + int(head[2])
    if name not in KNOWN_PARTS:
        known = "is not known to this version" if name in PARTS else "belongs in no proof"
        raise Malformed(f"a part {name!r} {known}")
    if end > len(extra):
        raise Malformed(f"the part {name!r} has {len(extra) - start:,} of its {end - start:,} bytes")
    return name, extra[start:end], end


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
