"""Entries: the leaves of a register log.

    {"item-hash":"sha-256:<hex>","key":"GB","timestamp":"2016-04-05T13:23:05Z","type":"user"}

Canonical JSON with these members only. Without `item-hash` it is a tombstone: the record ends. The position is not in
the leaf (the tree binds it), so a client can compute its leaf before sending it. One regular expression is the whole
grammar: no key holds a character that JSON escapes, so every match is canonical.

The published v1 root hash is that of a second tree, over the user entries only, in the JSON of the v1 API:

    {"index-entry-number":"1","entry-number":"1","entry-timestamp":"…","key":"GB","item-hash":["sha-256:…"]}

RSF files assert it, and v1 clients compare it. Nothing of ours rests on it: it does not cover the system entries. Entry
numbers count user entries from 1; a tombstone, which v1 does not know, has an empty list of hashes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from mintmark.errors import Malformed
from mintmark.register import canonical
from mintmark.register.datatypes import KEY_PATTERN, NAME_PATTERN, TIMESTAMP_PATTERN
from mintmark.register.item import format_hash
from mintmark.tlog.kernel import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mintmark.tlog.edge import Edge

EntryType = Literal["user", "system"]
TYPES: Mapping[str, EntryType] = {"user": "user", "system": "system"}

MAX_KEY_BYTES = 255  # a key is an index column and one segment of a URL

KEY_RULES: Mapping[EntryType, str] = {
    "user": f"letters, digits and single - _ . / between them, at most {MAX_KEY_BYTES} in all",
    "system": "name, register-name, custodian, field:NAME, register:NAME or erase:INDEX",
}

_LEAF = re.compile(
    rf"""\{{(?:"item-hash":"sha-256:([0-9a-f]{{64}})",)?"key":"([^"\\\x00-\x1f]{{1,{MAX_KEY_BYTES}}})","""
    rf""""timestamp":"({TIMESTAMP_PATTERN})","type":"(user|system)"\}}""".encode()
)
_V1_LEAF = '{"index-entry-number":"%d","entry-number":"%d","entry-timestamp":"%s","key":%s,"item-hash":[%s]}'
_LOG_PREFIX = "log:"  # of the system keys by which a log speaks of itself; docs/registers.md has their table
_USER_KEY = re.compile(KEY_PATTERN)
_SYSTEM_KEY = re.compile(
    rf"name|register-name|custodian|(?:field|register):{NAME_PATTERN}|erase:(0|[1-9][0-9]{{0,18}})"
)
_LEGACY_SYSTEM_KEY = re.compile(NAME_PATTERN)  # of a field, without `field:`, as published files have it
_DEFINITION_KEY = re.compile(r"name|register-name|custodian|(?:field|register):.*", re.DOTALL)


class Entry(NamedTuple):
    """One leaf. `timestamp` is `YYYY-MM-DDTHH:MM:SSZ`; `item_hash` is 32 bytes, or None for a tombstone."""

    key: str
    timestamp: str
    type: EntryType
    item_hash: bytes | None


class Row(NamedTuple):
    """An entry at its place in a log, with its item.

    `entry` is None for a leaf that is no register entry; the item, which may be erased one day, does not change that.
    `item` is None for a tombstone, where it is `missing` (the leaf names it, and it was not sent), and where what was
    sent is no item by our grammar: these bytes are `unreadable`.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a row
    leaf_hash: bytes
    entry: Entry | None
    item: bytes | None
    missing: bool
    unreadable: bytes | None = None


def format_entry(entry: Entry) -> bytes:
    """The leaf bytes of an entry."""
    members = {"key": entry.key, "timestamp": entry.timestamp, "type": entry.type}
    if entry.item_hash is not None:
        members["item-hash"] = format_hash(entry.item_hash)
    return canonical.format(members)


def parse_entry(leaf: bytes) -> Entry:
    """The entry of a leaf. Its key may be one that is refused in new entries: `valid_key` tells.

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
    """True if this is the first leaf of a register.

    No signature says of which kind a log is: its first entry does, and a mint lets no opaque log begin with one.
    """
    try:
        parse_entry(leaf)
    except Malformed:
        return False
    return True


def valid_key(type: EntryType, key: str, *, legacy: bool = False) -> bool:
    """True if `key` may be written: the specification's strict rule for records, a known name for system entries.

    `legacy` admits the bare name of a field as a system key.
    """
    if len(key) > MAX_KEY_BYTES:
        return False
    if type == "user":
        return bool(_USER_KEY.fullmatch(key))
    return bool(_SYSTEM_KEY.fullmatch(key) or (legacy and _LEGACY_SYSTEM_KEY.fullmatch(key)))


def is_log_key(key: str) -> bool:
    """True for a system key by which a log speaks of itself: its mint alone appends it."""
    return key.startswith(_LOG_PREFIX)


def is_published_key(key: str) -> bool:
    """True for a system key that a file of the register may bring: not one of the log's own, nor an erasure."""
    return not is_log_key(key) and not key.startswith("erase:")


def is_definition_key(key: str) -> bool:
    """True for a system key that defines something, in a log of any mint."""
    return bool(_DEFINITION_KEY.fullmatch(key))


def erased_index(key: str) -> int | None:
    """The index in a system entry's key `erase:<index>`; None for any other key."""
    match = _SYSTEM_KEY.fullmatch(key)
    return int(match[1]) if match and match[1] else None


def v1_leaf(number: int, entry: Entry) -> bytes:
    """The v1 leaf bytes of a user entry; `number` counts user entries from 1."""
    key = canonical.format(entry.key).decode()
    digest = f'"{format_hash(entry.item_hash)}"' if entry.item_hash is not None else ""
    return (_V1_LEAF % (number, number, entry.timestamp, key, digest)).encode()


def v1_hashes(size: int, entries: Iterable[Entry]) -> bytes:
    """The joined leaf hashes of the user entries among `entries`, which follow `size` earlier user entries."""
    users = (entry for entry in entries if entry.type == "user")
    return b"".join([leaf_hash(v1_leaf(number, entry)) for number, entry in enumerate(users, size + 1)])


def v1_extend(edge: Edge, entries: Iterable[Entry]) -> Edge:
    """The v1 tree's edge after the user entries among `entries`; its size is the number of user entries."""
    return edge.extend(v1_hashes(edge.size, entries))[0]
