"""Texts, parsed strictly: decimal numbers, base64 (RFC 4648 section 4), and the text of a checkpoint.

A checkpoint's text is three lines (C2SP tlog-checkpoint):

    <origin>
    <size>
    <root in base64>

Extension lines, which the specification allows after these, are refused: an ML-DSA signature does not cover them. All
are parsed by re-printing: a text that does not print back to the same bytes is Malformed.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from mintmark.errors import Malformed
from mintmark.tlog.kernel import HASH_BYTES

MAX_NUMBER = 2**63 - 1
MAX_NAME_BYTES = 255  # of an origin, or of a key's name
# The beginnings of files that are taken for text by mistake, and what they are.
_OTHER_CONTENT = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PK\x03\x04": "a zip archive, as Excel workbooks are",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "compressed by gzip",
    b"%PDF": "a PDF",
}
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_NUL_SEARCH_BYTES = 1024  # at the beginning of a file
_DECIMAL = re.compile(rb"0|[1-9][0-9]{0,18}")


class TreeHead(NamedTuple):
    """A log's tree: `size` entries with this root (32 bytes)."""

    origin: str
    size: int
    root: bytes


def format_tree_head(head: TreeHead) -> bytes:
    """The text of a tree head, which is signed.

    Raises:
        Malformed: an origin, a size or a root that no log can have.
    """
    text = b"%s\n%d\n%s\n" % (head.origin.encode(errors="replace"), head.size, format_base64(head.root))
    if parse_tree_head(text) != head:
        raise Malformed(f"{head.origin!r} is not an origin")
    return text


def parse_tree_head(text: bytes) -> TreeHead:
    """The tree head in a text.

    Raises:
        Malformed: anything that `format_tree_head` would not have made.
    """
    lines = text.split(b"\n")
    if len(lines) != 4 or lines.pop():
        raise Malformed("a checkpoint's text is three lines: origin, size, root (extension lines are not accepted)")
    origin, size, root = lines
    return TreeHead(_parse_origin(origin), parse_decimal(size), parse_hash(root))


def _parse_origin(line: bytes) -> str:
    if not 1 <= len(line) <= MAX_NAME_BYTES or min(line) < 0x20:
        raise Malformed(f"an origin is 1 to {MAX_NAME_BYTES} bytes without control characters")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Malformed("an origin is UTF-8") from error


def parse_decimal(text: bytes) -> int:
    """A number from 0 to 2**63 - 1: ASCII digits, no sign, no leading zero."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_NUMBER:
        raise Malformed(f"{_shown(text)} is not a number from 0 to {MAX_NUMBER}")
    return int(text)


def format_base64(data: bytes) -> bytes:
    """Standard alphabet, padded."""
    return base64.b64encode(data)


def parse_base64(text: bytes) -> bytes:
    """The bytes of canonical base64."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"{_shown(text)} is not base64") from None
    if base64.b64encode(data) != text:
        raise Malformed(f"{_shown(text)} is not canonical base64")
    return data


def parse_hash(text: bytes) -> bytes:
    """A 32-byte hash in base64."""
    if len(digest := parse_base64(text)) != HASH_BYTES:
        raise Malformed(f"a hash of {len(digest)} bytes, not {HASH_BYTES}")
    return digest


def other_content(data: bytes) -> str:
    """What the beginning of a file shows it to be instead of plain text in UTF-8; empty where it may be that."""
    for start, what in _OTHER_CONTENT.items():
        if data.startswith(start):
            return what
    if _HTML.match(data):
        return "an HTML page"
    return "UTF-16 text, or binary" if b"\0" in data[:_NUL_SEARCH_BYTES] else ""


def line_fault(data: bytes) -> str:
    """Why a file of lines in ASCII (keys, a policy) cannot be read, if its bytes alone tell; else empty."""
    if what := other_content(data):
        return f"it is {what}"
    if data.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark; save it without one"
    if (at := data.find(b"\r")) >= 0:
        number = data.count(b"\n", 0, at) + 1
        return f"line {number} ends with CRLF, as Windows saves it; save it with LF alone"
    return "it is empty" if not data else ""


def _shown(text: bytes) -> str:
    return repr(text[:60])[1:]
