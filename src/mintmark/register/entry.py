"""Entries: the leaves of a register log.

    {"item-hash":"sha-256:<hex>","key":"GB","timestamp":"2016-04-05T13:23:05Z","type":"user"}

Canonical JSON with these members only. Without `item-hash` it is a tombstone: the record ends. The position is not in
the leaf (the tree binds it), so a client can compute its leaf before sending it.

One regular expression is the whole grammar: no key holds a character that JSON escapes, so whatever matches is
canonical.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from mintmark.errors import Malformed
from mintmark.register import canonical
from mintmark.register.datatypes import KEY, NAME, TIMESTAMP
from mintmark.register.item import format_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

EntryType = Literal["user", "system"]
TYPES: Mapping[str, EntryType] = {"user": "user", "system": "system"}

MAX_KEY = 255  # bytes: a key is an index column and one segment of a URL

_LEAF = re.compile(
    rf"""\{{(?:"item-hash":"sha-256:([0-9a-f]{{64}})",)?"key":"([^"\\\x00-\x1f]{{1,{MAX_KEY}}})","""
    rf""""timestamp":"({TIMESTAMP})","type":"(user|system)"\}}""".encode()
)
_USER_KEY = re.compile(KEY)
_SYSTEM_KEY = re.compile(rf"name|register-name|custodian|(?:field|register):{NAME}|erase:(0|[1-9][0-9]{{0,18}})")


class Entry(NamedTuple):
    """One leaf. `timestamp` is `YYYY-MM-DDTHH:MM:SSZ`; `item_hash` is 32 bytes, or None for a tombstone."""

    key: str
    timestamp: str
    type: EntryType
    item_hash: bytes | None


class Row(NamedTuple):
    """An entry at its place in a log, with its item.

    `entry` is None for a leaf that is no register entry. It does not depend on the item, which may be erased one day.
    `item` is None for a tombstone, for bytes that are no item, and where it is `missing`: named by the leaf, and not
    sent.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a row
    leaf_hash: bytes
    entry: Entry | None
    item: bytes | None
    missing: bool


def format_entry(entry: Entry) -> bytes:
    """The leaf bytes of an entry."""
    members = {"key": entry.key, "timestamp": entry.timestamp, "type": entry.type}
    if entry.item_hash is not None:
        members["item-hash"] = format_hash(entry.item_hash)
    return canonical.format(members)


def parse_entry(leaf: bytes) -> Entry:
    """The entry that a leaf says. The key need not be one that may be written: `valid_key` tells.

    Raises:
        Malformed: any other bytes than `format_entry` makes, or a timestamp that is no real date.
    """
    match = _LEAF.fullmatch(leaf)
    if not match:
        raise Malformed("not a register entry: canonical JSON of item-hash, key, timestamp and type")
    digest, key, timestamp, kind = match.groups()
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise Malformed("the key is not UTF-8") from None
    return Entry(
        text, timestamp.decode(), cast("EntryType", kind.decode()), bytes.fromhex(digest.decode()) if digest else None
    )


def begins_register(leaf: bytes) -> bool:
    """Whether a log that begins with this leaf is a register. No signature says which kind a log is: its first entry
    does, and no log of the other kind is let begin so.
    """
    try:
        parse_entry(leaf)
    except Malformed:
        return False
    return True


def valid_key(type: EntryType, key: str) -> bool:
    """Whether `key` may be written: the specification's strict rule for records, a known name for system entries."""
    return len(key) <= MAX_KEY and bool((_USER_KEY if type == "user" else _SYSTEM_KEY).fullmatch(key))


def erased_index(key: str) -> int | None:
    """The index that a system entry's key erases (`erase:<index>`), or None if it is about something else."""
    match = _SYSTEM_KEY.fullmatch(key)
    return int(match[1]) if match and match[1] else None
