"""Opening notes that may be damaged, or signed by keys that are no longer here.

A note with one flipped bit is mended by its own signature: no other bytes than those that were signed verify. A line
by a key that is not here is no damage, for keys are changed; but one that is almost by a key of ours is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import BadSignature, Malformed, Untrusted
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint, parse_tree_head
from mintmark.tlog.note import Note, format_note, open_note, parse_note
from mintmark.tlog.text import format_base64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.tlog.note import Signature, Verifier

MENDED = 64  # notes that are tried, each some thousand signatures
STRANGE = "none of the signatures is by a key that is here"
ALMOST = "a signature line that is almost by a key that is here"


class Opened(NamedTuple):
    """A note that was read: the head that it says, if it can be known, and what is wrong with its bytes.

    Nobody here can tell whether a `strange` one was signed.
    """

    head: Checkpoint | None
    wrong: str = ""
    strange: bool = False


@dataclass
class Opener:
    """Opens the notes of one log. Cosigners vouch for nothing; their lines are checked."""

    origin: str
    verifiers: Sequence[Verifier]
    cosigners: Sequence[Verifier] = ()
    tries: int = MENDED

    def open(self, note: bytes) -> Opened:
        """The head of a note, mended if need be."""
        try:
            head = self._open(note)
        except BadSignature as error:
            said = self._said(note)
            return Opened(said, STRANGE, strange=True) if said else Opened(self._mended(note), str(error))
        except (Untrusted, Malformed) as error:
            return Opened(self._mended(note), str(error))
        if head.note == note:
            return Opened(head)
        if self._almost(note):
            return Opened(self._mended(note) or head, ALMOST)
        return Opened(Checkpoint(head.origin, head.size, head.root, note))

    def _open(self, note: bytes) -> Checkpoint:
        """The head, with the note of the lines that are verified."""
        head = open_checkpoint(note, self.origin, self.verifiers)
        whole = open_note(note, [*self.verifiers, *self.cosigners])
        return Checkpoint(head.origin, head.size, head.root, format_note(*whole))

    def _said(self, note: bytes) -> Checkpoint | None:
        """What a note says that is signed by strangers alone."""
        try:
            head = parse_tree_head(parse_note(note)[0])
        except Malformed:
            return None
        if head.origin != self.origin or self._almost(note):
            return None
        return Checkpoint(*head, note=note)

    def _almost(self, note: bytes) -> bool:
        """Whether a line that is not verified differs from one by a key of ours in no more than a byte."""
        ours = [_beginning(key.name, key.key_id) for key in (*self.verifiers, *self.cosigners)]
        return any(
            len(other) == len(key) and sum(a != b for a, b in zip(key, other, strict=True)) <= 1
            for line in self._unverified(note)
            for other in [_beginning(line.name, line.key_id)]
            for key in ours
        )

    def _unverified(self, note: bytes) -> list[Signature]:
        text, lines = parse_note(note)
        try:
            known = open_note(note, [*self.verifiers, *self.cosigners])
        except BadSignature:
            known = Note(text, ())
        left = list(lines)
        for line in known.verified:
            left.remove(line)
        return left

    def _mended(self, note: bytes) -> Checkpoint | None:
        """The head of the note that differs from these bytes in one bit, and is signed throughout; if there is one."""
        if self.tries == 0:
            return None
        self.tries -= 1
        for at in range(len(note)):
            for bit in range(8):
                other = b"".join((note[:at], bytes([note[at] ^ 1 << bit]), note[at + 1 :]))
                try:
                    head = self._open(other)
                except (Untrusted, Malformed):
                    continue
                if head.note == other:
                    return head
        return None


def _beginning(name: str, key_id: bytes) -> bytes:
    """A signature line up to where the key ends: one flipped bit of the line is one byte of it."""
    return name.encode() + b" " + format_base64(key_id + b"\0\0")[:6]
