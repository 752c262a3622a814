"""The text of a checkpoint: three lines (C2SP tlog-checkpoint).

    <origin>
    <size>
    <root in base64>

Extension lines, which the specification allows after these, are refused: an ML-DSA signature does not cover them.
"""

from __future__ import annotations

from typing import NamedTuple

from mintmark.errors import Malformed
from mintmark.tlog.text import format_base64, parse_decimal, parse_hash

MAX_NAME = 255  # bytes in an origin, or in the name of a key


class TreeHead(NamedTuple):
    """That a log has a tree of `size` entries with this root (32 bytes)."""

    origin: str
    size: int
    root: bytes


def format_text(head: TreeHead) -> bytes:
    """The text that is signed.

    Raises:
        Malformed: an origin, a size or a root that no log can have.
    """
    text = b"%s\n%d\n%s\n" % (head.origin.encode(errors="replace"), head.size, format_base64(head.root))
    if parse_text(text) != head:
        raise Malformed(f"{head.origin!r} is not an origin")
    return text


def parse_text(text: bytes) -> TreeHead:
    """The tree head that a text speaks of.

    Raises:
        Malformed: anything that `format_text` would not have made.
    """
    lines = text.split(b"\n")
    if len(lines) != 4 or lines.pop():
        raise Malformed("a checkpoint's text is three lines: origin, size, root (extension lines are not accepted)")
    origin, size, root = lines
    return TreeHead(_parse_origin(origin), parse_decimal(size), parse_hash(root))


def _parse_origin(line: bytes) -> str:
    if not 1 <= len(line) <= MAX_NAME or min(line) < 0x20:
        raise Malformed(f"an origin is 1 to {MAX_NAME} bytes without control characters")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Malformed("an origin is UTF-8") from error
