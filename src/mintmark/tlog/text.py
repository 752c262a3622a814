"""The two spellings that every text format here shares, parsed strictly: decimal numbers and base64.

Both are parsed by re-printing: what does not print back to the same bytes is Malformed (C2SP tlog-checkpoint, RFC 4648
section 4).
"""

from __future__ import annotations

import base64
import binascii
import re

from mintmark.errors import Malformed
from mintmark.tlog.kernel import HASH

MAX_NUMBER = 2**63 - 1
_DECIMAL = re.compile(rb"0|[1-9][0-9]{0,18}")


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
    if len(digest := parse_base64(text)) != HASH:
        raise Malformed(f"a hash of {len(digest)} bytes, not {HASH}")
    return digest


def _shown(text: bytes) -> str:
    return repr(text[:60])[1:]
