"""Canonical JSON: the one spelling of a value, so that it has one hash (openregister specification v1, "Item hash").

UTF-8; no whitespace between tokens; object members sorted by code point; array order kept; non-ASCII raw; only `"`,
`\\` and U+0000 to U+001F escaped: `\\b \\t \\n \\f \\r`, the others as `\\u00XX` with upper-case digits. No duplicate
members.

Parsing is strict by re-printing: bytes that do not print back as themselves are not canonical. That one comparison
catches duplicate and unsorted members, whitespace, needless escapes and lower-case escapes alike.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from mintmark.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Value = str | Sequence[str] | Mapping[str, str | Sequence[str]]

# Whole escapes are matched, so that an escaped backslash before "u001f" is not taken for one.
_ESCAPE = re.compile(rb"\\(?:u00([01][a-f])|.)")


def format(value: Value) -> bytes:
    """The canonical bytes of a string, a list or an object.

    Raises:
        Malformed: a lone surrogate, which UTF-8 does not have, or nesting that no item has.
    """
    try:
        printed = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise Malformed(f"no canonical JSON: {error}") from None
    return _ESCAPE.sub(_upper_case, printed) if b"\\u00" in printed else printed


def parse(data: bytes) -> dict[str, Any]:
    """The object that `data` is the canonical form of.

    Raises:
        Malformed: not JSON, not an object, or not in canonical form.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"invalid JSON: {error}") from None
    if type(value) is not dict:
        raise Malformed("not a JSON object")
    if format(value) != data:
        raise Malformed("non-canonical JSON")
    return value


def normalise(data: bytes) -> bytes:
    """The canonical form of a JSON object in any spelling; duplicate members, on which readers disagree, are refused.

    Raises:
        Malformed: not UTF-8, not JSON, not an object, or a member given twice.
    """
    return format(loads(data))


def loads(data: bytes) -> dict[str, Any]:
    """A JSON object in any spelling, without duplicate members at any depth.

    Raises:
        Malformed: as for `normalise`.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"invalid JSON: {error}") from None
    if type(value) is not dict:
        raise Malformed("not a JSON object")
    return value


def _upper_case(escape: re.Match[bytes]) -> bytes:
    return rb"\u00" + escape[1].upper() if escape[1] else escape[0]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a member is given twice")
    return members


def _refuse_constant(name: str) -> None:
    raise Malformed(f"{name} is not JSON")
