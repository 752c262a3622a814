"""Checkpoints: tree heads as signed notes (C2SP tlog-checkpoint).

A log is known by its origin, which is configured together with its keys. The origin in a note is compared with that
one: the signatures of some key types do not cover it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured, ProofError
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import COSIGNATURE, format_note, open_note, parse_note, sign_note
from mintmark.tlog.text import TreeHead, format_tree_head, parse_tree_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.tlog.note import Signer, Verifier

__all__ = ["Checkpoint", "open_checkpoint", "parse_tree_head", "read_tree_head", "sign_checkpoint"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed tree head: `size` entries, `root` (32 bytes), and its note.

    The note has only signatures that were verified or made here, so it can be stored and published.
    """

    origin: str
    size: int
    root: bytes
    note: bytes = field(default=b"", repr=False)


def read_tree_head(note: bytes) -> TreeHead:
    """The tree head that a note names. Nothing is verified. Raises Malformed."""
    return parse_tree_head(parse_note(note)[0])


def sign_checkpoint(origin: str, size: int, root: bytes, signers: Sequence[Signer]) -> Checkpoint:
    """A log's signature of its tree.

    Raises:
        Malformed: an origin, a size or a root that no log can have.
        Misconfigured: a signer whose key is for cosignatures, or none at all.
    """
    if not signers or any(signer.kind == COSIGNATURE for signer in signers):
        raise Misconfigured(f"{origin} needs keys to sign with, Ed25519 or ML-DSA-44; make one with mintmark keygen")
    text = format_tree_head(TreeHead(origin, size, root))
    return Checkpoint(origin, size, root, format_note(text, [sign_note(text, signer) for signer in signers]))


def open_checkpoint(note: bytes, origin: str, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint of the log `origin` that one or more of its keys signed.

    Raises:
        Malformed: no checkpoint, or another log's.
        BadSignature: none of the log's keys signed it, or the signature of one does not verify.
        ProofError: an empty tree that has the root of another.
        Misconfigured: two of these keys have the same name and key ID.
    """
    opened = open_note(note, [verifier for verifier in verifiers if verifier.kind != COSIGNATURE])
    head = parse_tree_head(opened.text)
    if head.origin != origin:
        raise Malformed(f"a checkpoint of {head.origin!r} where one of {origin!r} belongs")
    if head.size == 0 and head.root != EMPTY_ROOT:
        raise ProofError(f"{origin} signed another root than the empty tree's at size 0", note)
    return Checkpoint(*head, note=format_note(*opened))
