"""Cosignatures: a mirror or a witness saw that a checkpoint follows from those before (C2SP tlog-cosignature).

A mirror's cosignature says more: every entry is stored there, for good, and served. So it is made only in the
transaction that makes it true. Keys are of type 0x04 (Ed25519) or 0x06 (ML-DSA-44); times are Unix seconds, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Misconfigured
from mintmark.tlog.algorithms import signature_time
from mintmark.tlog.note import COSIGNATURE, MLDSA44, format_note, parse_note, sign_note
from mintmark.tlog.text import MAX_NUMBER, parse_tree_head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.tlog.note import Note, Signer, Verifier

COSIGNATURE_KINDS = (COSIGNATURE, MLDSA44)


def cosign(note: bytes, signer: Signer, time: int) -> bytes:
    """The note with a cosignature of `time` (Unix seconds) behind its other signatures, instead of an earlier one.

    The note is that of an opened `Checkpoint`: an unverified line must not be published next to ours.

    Raises:
        Malformed: no checkpoint.
        Misconfigured: the key is not for cosignatures.
        ValueError: no such time.
    """
    if signer.kind not in COSIGNATURE_KINDS:
        raise Misconfigured(f"the key of {signer.name} is a log's; make a cosigner's with mintmark keygen --cosigner")
    if not 0 < time <= MAX_NUMBER:
        raise ValueError(f"a cosignature's time is 1 to {MAX_NUMBER} seconds, not {time}")
    text, lines = parse_note(note)
    parse_tree_head(text)
    others = [line for line in lines if (line.name, line.key_id) != (signer.name, signer.key_id)]
    return format_note(text, [*others, sign_note(text, signer, time)])


def cosignatures(opened: Note, verifiers: Iterable[Verifier]) -> dict[Verifier, int]:
    """The keys that cosigned an opened note, each with the time in Unix seconds.

    A signature without a time, as a log's own by ML-DSA-44, is no cosignature.
    """
    lines = {(line.name, line.key_id): line.signature for line in opened.verified}
    times = {
        verifier: signature_time(lines[verifier.name, verifier.key_id])
        for verifier in verifiers
        if verifier.kind in COSIGNATURE_KINDS and (verifier.name, verifier.key_id) in lines
    }
    return {verifier: time for verifier, time in times.items() if time}
