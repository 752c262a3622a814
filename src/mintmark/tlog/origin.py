"""Origins: a log's name in its checkpoints, and the short name that people call it by (C2SP tlog-checkpoint)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def short_name(origin: str) -> str:
    """The last segment of an origin: a log's name in a deployment."""
    return origin.rsplit("/", 1)[-1]


def matches(origin: str, globs: Iterable[str]) -> bool:
    """Whether one of these globs matches an origin or its short name."""
    name = short_name(origin)
    return any(fnmatchcase(origin, glob) or fnmatchcase(name, glob) for glob in globs)
