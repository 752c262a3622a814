"""What each type of signature signs (C2SP signed-note, tlog-cosignature; RFC 6962 section 3.5).

The functions `..._message` take a key's name, a note's text and what stands behind the key ID in a signature line; they
give the bare signature and the message that it is of. Malformed: the text or the line is not for this type.
"""

from __future__ import annotations

from mintmark.errors import Malformed
from mintmark.tlog.text import MAX_NUMBER
from mintmark.tlog.treehead import parse_text


def text_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Types 0x01 and 0x02: the text."""
    return signature, text


def cosignature_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Type 0x04: the text behind the time; the name is not part of it."""
    return signature[8:], cosigned(signature_time(signature), text)


def tree_message(name: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Type 0x06: the tree that the text speaks of, the time and the name."""
    signature_time(signature)
    return signature[8:], tree(name, signature[:8], text)


def rfc6962_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Type 0x05: the tree behind a time in milliseconds; neither name nor origin is part of it."""
    head = parse_text(text)
    return signature[8:], b"\x00\x01" + signature[:8] + head.size.to_bytes(8, "big") + head.root


def cosigned(time: int, text: bytes) -> bytes:
    """The message of an Ed25519 cosignature of `time`, in Unix seconds."""
    return b"cosignature/v1\ntime %d\n" % time + text


def tree(name: str, stamp: bytes, text: bytes) -> bytes:
    """The message of an ML-DSA-44 signature: the whole tree; `stamp` is the time, in 8 bytes."""
    head = parse_text(text)
    label = b"subtree/v1\n\0" + _counted(name) + stamp + _counted(head.origin)
    return label + bytes(8) + head.size.to_bytes(8, "big") + head.root


def signature_time(signature: bytes) -> int:
    """The time within a signature of type 0x04 or 0x06, in Unix seconds."""
    if (time := int.from_bytes(signature[:8], "big")) > MAX_NUMBER:
        raise Malformed("a time beyond 2^63 - 1")
    return time


def _counted(name: str) -> bytes:
    return bytes([len(encoded := name.encode())]) + encoded
