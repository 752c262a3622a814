"""Cosignatures: that a mirror or a witness saw a checkpoint follow from those before, and when (C2SP tlog-cosignature).

A mirror's says more: every entry is stored there, for good, and served. So one is made only in the transaction that
makes it true. Keys are of type 0x04 (Ed25519) or 0x06 (ML-DSA-44); times are Unix seconds, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Misconfigured
from mintmark.tlog.keys import signature_time
from mintmark.tlog.note import COSIGNATURE, MLDSA44, format_note, open_note, parse_note, sign_note
from mintmark.tlog.text import MAX_NUMBER
from mintmark.tlog.treehead import parse_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.tlog.note import Signer, Verifier

KINDS = (COSIGNATURE, MLDSA44)


class Cosigned(NamedTuple):
    """That the key named `name` (vkey in full) cosigned a checkpoint at `time`, in Unix seconds."""

    name: str
    vkey: str
    time: int


def cosign(note: bytes, signer: Signer, time: int) -> bytes:
    """The note with a cosignature of `time` (Unix seconds) behind its other signatures, instead of an earlier one's.

    The note is that of an opened `Checkpoint`: a line that nobody verified must not be published next to ours.

    Raises:
        Malformed: no checkpoint.
        Misconfigured: the key is not for cosignatures.
    """
    if signer.kind not in KINDS:
        raise Misconfigured(f"the key of {signer.name} is a log's; a cosigner's is made by mintmark keygen --cosigner")
    if not 0 < time <= MAX_NUMBER:
        raise ValueError(f"a cosignature's time is 1 to {MAX_NUMBER} seconds, not {time}")
    text, lines = parse_note(note)
    parse_text(text)
    others = [line for line in lines if (line.name, line.key_id) != (signer.name, signer.key_id)]
    return format_note(text, [*others, sign_note(text, signer, time)])


def open_cosignatures(note: bytes, verifiers: Iterable[Verifier]) -> list[Cosigned]:
    """Who of these cosigned the note, and when. A signature without a time (an ML-DSA log's own) is none.

    Raises:
        Malformed: no note.
        BadSignature: none of these keys signed it, or the signature of one does not verify.
    """
    keys = {(verifier.name, verifier.key_id): verifier for verifier in verifiers if verifier.kind in KINDS}
    found = [
        Cosigned(line.name, keys[line.name, line.key_id].vkey, signature_time(line.signature))
        for line in open_note(note, keys.values()).verified
    ]
    return [cosigned for cosigned in found if cosigned.time]
