"""Items, the content of entries: canonical JSON of strings and lists of strings, identified by its SHA-256.

The hash is of the bytes, so they are kept and carried as they are; a parsed item is only a view of them.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

from mintmark.errors import Malformed
from mintmark.register import canonical
from mintmark.tlog.bundle import MAX_ENTRY_BYTES

Item = dict[str, str | list[str]]

SALT = "_salt"  # no field can be called so: names start with a letter

_HASH = re.compile(r"sha-256:([0-9a-f]{64})")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def values(item: Item | None, field: str) -> list[str]:
    """The values of a field; none where it is missing."""
    value = item.get(field, []) if item else []
    return [value] if isinstance(value, str) else value


def item_hash(item: bytes) -> bytes:
    """The 32 bytes that identify an item."""
    return sha256(item).digest()


def format_hash(digest: bytes) -> str:
    """`sha-256:` and 64 lower-case hex digits."""
    return "sha-256:" + digest.hex()


def parse_hash(text: str) -> bytes:
    """The 32 bytes of a `sha-256:…` hash.

    Raises:
        Malformed: anything but `sha-256:` and 64 lower-case hex digits.
    """
    if not (match := _HASH.fullmatch(text)):
        raise Malformed("a hash is sha-256: and 64 lower-case hex digits")
    return bytes.fromhex(match[1])


def parse_item(data: bytes) -> Item:
    """The members of an item.

    Raises:
        Malformed: over 65,535 bytes, not canonical, a value that is no string or list of strings, or U+0000 (which
            no Postgres text holds).
    """
    if len(data) > MAX_ENTRY_BYTES:
        raise Malformed(f"an item of {len(data)} bytes; the most is {MAX_ENTRY_BYTES}")
    item = canonical.parse(data)
    for name, value in item.items():
        if type(value) is not str and not (type(value) is list and all(type(element) is str for element in value)):
            raise Malformed(f"{name!r} is neither a string nor a list of strings")
    if rb"\u0000" in data and _NUL.search(data):
        raise Malformed("U+0000 in an item")
    return item


def salt(item: Item) -> Item:
    """The item with 128 random bits, so that its hash does not give away a guessable value once it has been erased."""
    return {**item, SALT: secrets.token_hex(16)}
