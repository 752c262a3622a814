"""Notes that may be damaged, or signed by keys that are no longer known here.

A note with one flipped bit is repaired by its own signature: only the bytes that were signed verify. A signature line
by an unknown key is no damage, for keys change; a line that is almost by a known key is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import BadSignature, Malformed, Untrusted
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint, read_tree_head
from mintmark.tlog.note import Note, format_note, open_note, parse_note
from mintmark.tlog.text import format_base64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.tlog.note import Signature, Verifier

MAX_REPAIRED_NOTES = 64  # each takes some thousand signature checks
UNKNOWN_KEYS = "none of the signatures is by a key that is here"
ALMOST_KNOWN_KEY = "a signature line that is almost by a key that is here"


class Opened(NamedTuple):
    """A note: its head, if it can be known, and what is wrong with its bytes.

    With `unknown_keys`, only unknown keys signed it: nobody here can tell whether the log did.
    """

    head: Checkpoint | None
    wrong: str = ""
    unknown_keys: bool = False


@dataclass
class Opener:
    """Opens the notes of one log. The lines of cosigners are checked, and vouch for nothing."""

    origin: str
    verifiers: Sequence[Verifier]
    cosigners: Sequence[Verifier] = ()
    tries: int = MAX_REPAIRED_NOTES  # repairs that are left

    def open(self, note: bytes) -> Opened:
        """The head of a note, repaired if need be."""
        try:
            head = self._open(note)
        except BadSignature as error:
            if claimed := self._claimed(note):
                return Opened(claimed, UNKNOWN_KEYS, unknown_keys=True)
            return Opened(self._repaired(note), str(error))
        except (Untrusted, Malformed) as error:
            return Opened(self._repaired(note), str(error))
        if head.note == note:
            return Opened(head)
        if self._almost(note):
            return Opened(self._repaired(note) or head, ALMOST_KNOWN_KEY)
        return Opened(Checkpoint(head.origin, head.size, head.root, note))

    def _open(self, note: bytes) -> Checkpoint:
        """The head, with a note of the verified lines alone."""
        head = open_checkpoint(note, self.origin, self.verifiers)
        whole = open_note(note, [*self.verifiers, *self.cosigners])
        return Checkpoint(head.origin, head.size, head.root, format_note(*whole))

    def _claimed(self, note: bytes) -> Checkpoint | None:
        """The head in a note signed by unknown keys alone; None where the note is damaged."""
        try:
            head = read_tree_head(note)
        except Malformed:
            return None
        if head.origin != self.origin or self._almost(note):
            return None
        return Checkpoint(*head, note=note)

    def _almost(self, note: bytes) -> bool:
        """True if a line that does not verify differs in at most one byte from a line by a known key."""
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

    def _repaired(self, note: bytes) -> Checkpoint | None:
        """The head of the fully verified note that differs from these bytes in one bit; None where there is none."""
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
    """A signature line up to the end of its key id: one flipped bit of the line is one byte of it."""
    return name.encode() + b" " + format_base64(key_id + b"\0\0")[:6]
