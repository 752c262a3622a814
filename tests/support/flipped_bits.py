"""The columns in which a bit flip can be found, by kind of database; and a value with one of its bits flipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
TREE = {"tile": ("level", "index", "width", "hashes"), "bundle": ("index", "width", "entries", "items")}
COLUMNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "read": {
        "log": ("origin", "name", "kind", "salted"),
        "head": ("size", "root", "note"),
        **TREE,
        "progress": ("size", "note", "pending"),
        "checkpoint": ("size", "note"),
        "evidence": ("notes",),
        "entry": (
            *("log", "index", "leaf_hash", "type", "key", "timestamp"),
            *("item_hash", "item", "superseded_by", "number", "live"),
        ),
        "missing": ("index", "by"),
        "v1_tile": ("level", "index", "width", "hashes"),
    },
    "mint": {
        "log": ("origin", "name", "kind", "salted"),
        "head": ("size", "root", "note"),
        **TREE,
        "definition": ("key", "index", "item"),
        "clock": ("type", "timestamp"),
        "request": ("first", "count", "digest"),
    },
}


def flipped_value(type_: str, value: Any, chance: random.Random) -> Any:
    """A value of a Postgres type with one bit flipped; None where the result is no value of that type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        bits = INTEGER_BITS[type_]
        flipped = value ^ 1 << chance.randrange(bits)
        return flipped - (flipped >> bits - 1 << bits)
    if isinstance(value, list):
        at = chance.randrange(len(value))
        return [*value[:at], flipped_value("bytea", value[at], chance), *value[at + 1 :]]
    data = bytearray(value.encode() if isinstance(value, str) else value)
    if not data:
        return None
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    if not isinstance(value, str):
        return bytes(data)
    try:
        text = data.decode()
        same = type_ == "jsonb" and json.loads(text) == json.loads(value)
    except ValueError:
        return None
    return None if "\0" in text or same else text
