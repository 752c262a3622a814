"""Trust in one log, as a state machine without I/O: mirror, auditor and command line are shells around it.

    note, proof ── accept ──> Checkpoint       signed by the log, and the tree of before with more behind it
    Chunk ──────── chunk ───> VerifiedChunk    part of the accepted tree, and what comes next after what we have

Rules:
  - A source is hostile: its notes are bytes, its chunks are `Chunk`. A `Checkpoint` and a `VerifiedChunk` are proven.
  - A `VerifiedChunk` is made here only, and a store takes nothing else: the type carries the trust.
  - The edge (of the verified entries) may lag behind the head (the signed tree). It never gets past it, and where they
    meet, their roots are the same.
  - A refusal changes nothing: the next answer may come from another source.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING

from mintmark.errors import Fork, Malformed, ProofError, Rollback, Untrusted
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH, fold, fold_tiles, leaf_hashes
from mintmark.tlog.merkle import check_consistency, check_subtree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.tlog.edge import Edge
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.tile import Key

_MADE_HERE = object()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Entries [start, end) as received: whole bundles from `start` on, their items, and the proof of the subtree."""

    start: int
    end: int
    entries: tuple[bytes, ...]
    items: tuple[bytes, ...]  # parallel to `entries`; none for an opaque log
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A row of entries: bundle number `index`, which has `width` entries, 1 to 256."""

    index: int
    width: int
    entries: bytes
    items: bytes  # parallel to `entries`; empty for an opaque log


@dataclass(frozen=True, slots=True)
class VerifiedChunk:
    """Entries [start, end), each of them new and proven. Made by `LogVerifier.chunk`.

    The bundles are whole rows: where `start` is within the first, that one begins with entries that we had before.
    """

    start: int
    end: int
    bundles: tuple[Bundle, ...]
    hashes: bytes  # leaf hashes of [start, end)
    tiles: dict[Key, bytes]  # every tile that they touched, as wide as it is at `end`
    edge: Edge  # of the tree of `end`
    made_here: InitVar[object]

    def __post_init__(self, made_here: object) -> None:
        if made_here is not _MADE_HERE:
            raise TypeError("only LogVerifier.chunk makes a VerifiedChunk, out of bytes that it has verified")


class LogVerifier:
    """The verified state of one log. Its attributes are public, to be read.

    `origin` and `verifiers`, the log's name and keys, come from our own configuration. `head` is the last checkpoint
    accepted; None before the first, which is taken on its signature alone. `edge` is that of the entries verified.

    Raises:
        ProofError: the edge is not of the head's tree. Our own copy is damaged, or not of this log.
    """

    def __init__(self, origin: str, verifiers: Sequence[Verifier], head: Checkpoint | None, edge: Edge) -> None:
        self.origin, self.verifiers = origin, verifiers
        self.head, self.edge = head, edge
        _check_agreement(edge, self._signed)

    def accept(self, note: bytes, proof: Sequence[bytes]) -> Checkpoint:
        """Moves the head to a signed note, given the consistency proof from the head before.

        The proof is empty where there is nothing to prove: from no head, from an empty tree, and to the same tree
        (which may have been signed afresh).

        Raises:
            Malformed: the note is no checkpoint of this log.
            BadSignature: no key of the log signed it.
            Rollback: its tree is smaller. Carries both notes.
            Fork: its tree is another of the same size, or not shown to begin with the one before. Carries both notes.
            ProofError: a proof where there is nothing to prove.
        """
        head = open_checkpoint(note, self.origin, self.verifiers)
        _check_follows(self._signed, head, proof)
        self.head = head
        return head

    def chunk(self, chunk: Chunk) -> VerifiedChunk:
        """Moves the edge over the next chunk of the head's tree.

        The chunk starts with the bundle in which the edge is. What we have of that bundle comes again, and is compared.

        Raises:
            Malformed: bundles that do not parse, not those of [start, end), or items that are not parallel to entries.
            ProofError: not the next chunk, or not part of the signed tree. Carries the head's note.
        """
        if self.head is None:
            raise ProofError("entries came before any head was accepted")
        try:
            verified = _verify(chunk, self.edge, self.head)
        except ProofError as error:
            raise ProofError(str(error), self.head.note) from error
        self.edge = verified.edge
        return verified

    @property
    def _signed(self) -> Checkpoint:
        """The head; before the first, that of the empty tree, with which every log begins."""
        return Checkpoint(self.origin, 0, EMPTY_ROOT) if self.head is None else self.head


def is_equivocation(error: Exception, origin: str, verifiers: Sequence[Verifier]) -> bool:
    """True if the notes of an error convict the log, whoever showed them: two trees of one size, both signed by it."""
    if not isinstance(error, Fork) or len(error.notes) != 2:
        return False
    try:
        one, other = (open_checkpoint(note, origin, verifiers) for note in error.notes)
    except (Untrusted, Malformed):
        return False
    return one.size == other.size and one.root != other.root


def _check_follows(before: Checkpoint, head: Checkpoint, proof: Sequence[bytes]) -> None:
    if head.size < before.size:
        raise Rollback(f"{head.origin} went back from {before.size} entries to {head.size}", before.note, head.note)
    if head.size == before.size and head.root != before.root:
        raise Fork(f"{head.origin} signed two trees of {head.size} entries", before.note, head.note)
    if before.size in (0, head.size):
        if proof:
            raise ProofError(f"{len(proof)} hashes of proof where there is nothing to prove", head.note)
        return
    try:
        check_consistency(before.size, before.root, head.size, head.root, proof)
    except ProofError as error:
        reason = f"{head.origin}: its {head.size} entries are not shown to begin with the {before.size} signed before"
        raise Fork(f"{reason}: {error}", before.note, head.note) from error


def _check_agreement(edge: Edge, head: Checkpoint) -> None:
    if edge.size > head.size:
        raise ProofError(f"{edge.size} entries were verified, and only {head.size} signed", head.note)
    if edge.size == head.size and edge.root() != head.root:
        raise ProofError(f"the {edge.size} entries verified do not have the root that was signed", head.note)


def _verify(chunk: Chunk, edge: Edge, head: Checkpoint) -> VerifiedChunk:
    held = edge.size % TILE_WIDTH
    if chunk.start != edge.size - held or not edge.size < chunk.end <= head.size:
        raise ProofError(f"[{chunk.start}, {chunk.end}) is not what comes after {edge.size} of {head.size} entries")
    bundles, hashes = _open(chunk)
    roots = fold_tiles(hashes)
    check_subtree(chunk.start, chunk.end, head.size, fold(roots), head.root, chunk.proof)
    known, new = hashes[: held * HASH_BYTES], hashes[held * HASH_BYTES :]
    if held and known != edge.tiles[0]:
        raise ProofError(f"bundle {bundles[0].index} does not begin with the {held} entries verified before")
    after, tiles = edge.extend(new, roots[: len(hashes) // (TILE_WIDTH * HASH_BYTES) * HASH_BYTES])
    _check_agreement(after, head)
    return VerifiedChunk(edge.size, chunk.end, bundles, new, tiles, after, _MADE_HERE)


def _open(chunk: Chunk) -> tuple[tuple[Bundle, ...], bytes]:
    """The rows of a chunk, each as wide as the range says, and the leaf hashes of them all."""
    count = -(-(chunk.end - chunk.start) // TILE_WIDTH)
    if len(chunk.entries) != count or len(chunk.items) not in (0, count):
        raise Malformed(f"{len(chunk.entries)} bundles and {len(chunk.items)} of items where {count} belong")
    bundles = []
    for at, entries, items in zip(
        range(chunk.start, chunk.end, TILE_WIDTH), chunk.entries, chunk.items or [b""] * count, strict=True
    ):
        width = min(TILE_WIDTH, chunk.end - at)
        try:
            bundle.check(entries, width)
            if chunk.items:
                bundle.check(items, width)
        except Malformed as error:
            raise Malformed(f"bundle {at // TILE_WIDTH}: {error}") from None
        bundles.append(Bundle(at // TILE_WIDTH, width, entries, items))
    return tuple(bundles), leaf_hashes(b"".join(chunk.entries))
