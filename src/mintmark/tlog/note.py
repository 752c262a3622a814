"""Signed notes: a text, an empty line, a line for each signature (C2SP signed-note).

    <text>

    — <name> <base64 of key ID and signature>

Rules:
  - A key is known by its name and key ID together. Lines of other keys mean nothing, and are left out of an opened
    note.
  - A known key's signature that does not verify spoils the whole note; it is not one more unknown signature.
  - Signed bytes stay as they are: a note is taken apart, never printed anew.

The keys themselves are in `keys`; their names can be imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import BadSignature, Malformed, Misconfigured
from mintmark.tlog.keys import (
    COSIGNATURE,
    ED25519,
    MLDSA44,
    SecretKey,
    Signer,
    Verifier,
    generate_skey,
    parse_skey,
    parse_vkey,
    sign_text,
)
from mintmark.tlog.origin import check_name
from mintmark.tlog.text import format_base64, parse_base64

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "COSIGNATURE", "ED25519", "MLDSA44", "Note", "SecretKey", "Signature", "Signer", "Verifier",
    "format_note", "generate_skey", "open_note", "parse_note", "parse_skey", "parse_vkey", "sign_note",
]  # fmt: skip

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100  # in a note
_DASH = "— ".encode()


class Signature(NamedTuple):
    """A signature line: the signer's name, the key ID (4 bytes), and the bytes behind it."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A text, which ends with a newline, and the signatures of it that were verified."""

    text: bytes
    verified: tuple[Signature, ...]


def sign_note(text: bytes, signer: Signer, time: int = 0) -> Signature:
    """The signer's line under a text; `time` is for keys that sign one. Raises as `sign_text` does."""
    return Signature(signer.name, signer.key_id, sign_text(signer, text, time))


def format_note(text: bytes, signatures: Iterable[Signature]) -> bytes:
    """The bytes of a note.

    Raises:
        Malformed: a text that no note can have, no signature, too many or too long ones.
    """
    lines = [
        _DASH + line.name.encode() + b" " + format_base64(line.key_id + line.signature) + b"\n" for line in signatures
    ]
    note = b"".join([text, b"\n", *lines])
    if parse_note(note)[0] != text:
        raise Malformed("the text of a note ends with a newline")
    return note


def parse_note(note: bytes) -> tuple[bytes, tuple[Signature, ...]]:
    """The text and every signature line of a note; nothing is verified.

    Raises:
        Malformed: anything that `format_note` would not have made.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise Malformed(f"a note of {len(note):,} bytes; at most {MAX_NOTE_BYTES:,} are read")
    _check_characters(note)
    end = note.rfind(b"\n\n") + 1
    lines = note[end + 1 :].split(b"\n")
    if not end or len(lines) < 2 or lines.pop():
        raise Malformed("a note is a text, an empty line and signature lines, each with its newline")
    if len(lines) > MAX_SIGNATURES:
        raise Malformed(f"a note of {len(lines)} signatures; at most {MAX_SIGNATURES} are read")
    return note[:end], tuple(_parse_line(line) for line in lines)


def open_note(note: bytes, verifiers: Iterable[Verifier]) -> Note:
    """The text, and the signatures of it by these keys: one or more, in the note's order, the first of each key.

    Raises:
        Malformed: it is no note.
        BadSignature: none of these keys signed it, or the signature of one does not verify. Carries the note.
        Misconfigured: two of these keys have the same name and key ID.
    """
    text, lines = parse_note(note)
    known = _by_id(verifiers)
    verified: dict[tuple[str, bytes], Signature] = {}
    for line in lines:
        key = line.name, line.key_id
        if key not in known or key in verified:
            continue
        if not known[key].verifies(text, line.signature):
            raise BadSignature(f"the signature of {line.name} ({line.key_id.hex()}) does not verify", note)
        verified[key] = line
    if not verified:
        raise BadSignature(f"none of the {len(lines)} signatures is by a trusted key", note)
    return Note(text, tuple(verified.values()))


def _by_id(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise Misconfigured(f"two keys of {verifier.name} have the ID {verifier.key_id.hex()}; leave one out")
    return known


def _check_characters(note: bytes) -> None:
    if any(byte < 0x20 and byte != 0x0A for byte in set(note)):
        raise Malformed("a control character in a note")
    try:
        note.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a note is UTF-8") from error


def _parse_line(line: bytes) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(b" ")
    if not line.startswith(_DASH) or len(blob := parse_base64(encoded)) < 5:
        raise Malformed("not a signature line (— <name> <base64>)")
    check_name(name.decode())
    return Signature(name.decode(), blob[:4], blob[4:])
