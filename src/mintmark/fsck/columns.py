"""The rows of a binary COPY of `entry`, taken apart into columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = (
    *("log", "index", "leaf_hash", "type", "key", "timestamp"),
    *("item_hash", "item", "superseded_by", "number", "live"),
)
INTEGERS = {"log", "index", "superseded_by", "number", "live"}
TEXTS = {"type", "key", "timestamp"}


def split(rows: bytes) -> list[bytes]:
    """The rows, each still as bytes."""
    found, at = [], 0
    while at < len(rows):
        start = at
        fields, at = int.from_bytes(rows[at : at + 2], "big"), at + 2
        for _ in range(fields):
            at += 4 + max(0, int.from_bytes(rows[at : at + 4], "big", signed=True))
        found.append(rows[start:at])
    return found


def columns(row: bytes) -> Mapping[str, bytes | int | None]:
    """The values of a row by column."""
    values: dict[str, bytes | int | None] = {}
    at = 2
    for name in NAMES:
        length = int.from_bytes(row[at : at + 4], "big", signed=True)
        value = None if length < 0 else row[at + 4 : at + 4 + length]
        values[name] = int.from_bytes(value, "big", signed=True) if value is not None and name in INTEGERS else value
        at += 4 + max(0, length)
    return values


def text(name: str, value: bytes | int | None) -> str | bytes | int | None:
    """A value as the parameter of a statement: text as text."""
    return value.decode() if name in TEXTS and isinstance(value, bytes) else value


def differing(expected: bytes, stored: bytes) -> str:
    """For each column that differs, the stored and the right value; empty if none differs."""
    right, kept = columns(expected), columns(stored)
    return "; ".join(
        f"{name}: {_show(kept[name])} where {_show(right[name])} belongs" for name in NAMES if right[name] != kept[name]
    )


def _show(value: bytes | int | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, int):
        return str(value)
    return value.hex() if len(value) == 32 else repr(value.decode("utf-8", "backslashreplace"))
