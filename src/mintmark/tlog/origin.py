"""Origins: a log's name in its checkpoints, its short name, and names of keys (C2SP tlog-checkpoint, signed-note)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.tlog.text import MAX_NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable


def short_name(origin: str) -> str:
    """The last segment of an origin: a log's name in a deployment."""
    return origin.rsplit("/", 1)[-1]


def matches(origin: str, globs: Iterable[str]) -> bool:
    """True if one of these globs matches an origin or its short name."""
    name = short_name(origin)
    return any(fnmatchcase(origin, glob) or fnmatchcase(name, glob) for glob in globs)


def check_name(name: str) -> None:
    """Raises Malformed for a name that no key can have."""
    if "+" in name or any(char.isspace() or char < " " for char in name):
        raise Malformed(f"{name!r} names no key: it is an origin without spaces and plus signs")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Malformed(f"{name!r} names no key: it is not Unicode") from None
    if not 1 <= size <= MAX_NAME_BYTES:
        raise Malformed(f"an origin, which names a key, is 1 to {MAX_NAME_BYTES} bytes, not {size}")


def check_origin(origin: str) -> None:
    """Raises Malformed for a text that is no log's origin: no name of a key, or one without a last segment."""
    check_name(origin)
    if short_name(origin) in ("", ".", ".."):
        raise Malformed(f"{origin!r} is no origin: its last segment is the log's name, and cannot be empty or dots")
