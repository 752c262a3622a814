"""Documents that convict a log, which anybody checks offline with the log's key alone.

    origin      the log
    evidence    pieces; of each:
      error     the class of the contradiction
      notes     the signed notes, as received, oldest first
      tree      where the notes are of different sizes: the larger tree's root at the smaller size, and its proof

Two trees of one size, both signed, convict the log by themselves. Two of different sizes do with `tree`: the larger is
proven to begin with another tree than the one that was signed.

`mintmark evidence --json` prints such a document. The file of an audit is one piece, and so is an error that a command
prints with --json: {"error":{"type":…,"notes":[…]}}. They are checked alike, also a file of such lines.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mintmark.errors import Malformed, ProofError
from mintmark.tlog.checkpoint import open_checkpoint, read_tree_head
from mintmark.tlog.merkle import check_consistency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier


def check_evidence(document: bytes, origin: str, verifiers: Sequence[Verifier]) -> list[str]:
    """Checks a document against the log of these keys; says of each piece that convicts the log why it does.

    Raises:
        Malformed: no such document.
        BadSignature: the log did not sign its notes.
        ProofError: no piece convicts the log.
    """
    try:
        pieces = [piece for found in _documents(document) for piece in _pieces(found, origin)]
        if not pieces:
            raise Malformed("it holds no signed notes")
        reasons = [_check_piece(piece, origin, verifiers) for piece in pieces]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Malformed(f"this is no evidence, as commands print it with --json: {error}") from error
    if convicting := [reason for reason in reasons if reason]:
        return convicting
    if any(_lacks_tree(piece) for piece in pieces):
        raise ProofError("two trees of different sizes, and not the proof that one does not begin with the other")
    raise ProofError("these notes do not contradict one another: they show what a source did, not the log")


def _documents(data: bytes) -> list[dict[str, Any]]:
    """The objects of a file: one, or one a line."""
    try:
        return [json.loads(data)]
    except ValueError:
        return [json.loads(line) for line in data.splitlines() if line.strip()]


def _pieces(found: dict[str, Any], origin: str) -> list[dict[str, Any]]:
    """The pieces of evidence in what a command printed. Raises Malformed for what is of another log."""
    if (of := found.get("origin", origin)) != origin:
        raise Malformed(f"it is of {of}, not of {origin}")
    if "evidence" in found:
        return list(found["evidence"])
    if isinstance(error := found.get("error"), dict):
        found = error | {"error": error["type"]}
    return [found] if found.get("notes") else []


def _check_piece(piece: dict[str, Any], origin: str, verifiers: Sequence[Verifier]) -> str | None:
    """Why a piece convicts the log, if it does."""
    notes = [note.encode() for note in piece["notes"]]
    if len(notes) != 2 or piece["error"] != "Fork":
        return None
    heads = [open_checkpoint(note, origin, verifiers) for note in notes]
    small, large = sorted(heads, key=lambda head: head.size)
    return _contradiction(small, large, piece.get("tree"))


def _lacks_tree(piece: dict[str, Any]) -> bool:
    """True for a fork of two sizes without the proof of it."""
    sizes = sizes_to_prove([note.encode() for note in piece["notes"]])
    return piece["error"] == "Fork" and "tree" not in piece and sizes is not None


def _contradiction(small: Checkpoint, large: Checkpoint, tree: dict[str, Any] | None) -> str | None:
    if small.size == large.size:
        return f"{small.origin} signed two trees of {small.size} entries" if small.root != large.root else None
    if tree is None:
        return None
    root, proof = bytes.fromhex(tree["root"]), [bytes.fromhex(step) for step in tree["proof"]]
    check_consistency(small.size, root, large.size, large.root, proof)
    if root == small.root:
        return None
    return f"{small.origin} signed a tree of {large.size} entries that does not begin with the {small.size} it signed"


def sizes_to_prove(notes: Sequence[bytes]) -> tuple[int, int] | None:
    """The sizes of two notes that convict a log only with a `tree`, smaller first; None where none is needed."""
    try:
        sizes = sorted(read_tree_head(note).size for note in notes)
    except ValueError:  # no notes
        return None
    return (sizes[0], sizes[1]) if len(sizes) == 2 and 0 < sizes[0] < sizes[1] else None


def format_tree(size: int, root: bytes, proof: Sequence[bytes]) -> dict[str, Any]:
    """The `tree` of a piece: the larger tree's root at the smaller size, and the proof of that."""
    return {"size": size, "root": root.hex(), "proof": [step.hex() for step in proof]}
