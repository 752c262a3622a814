"""JSON Lines: one row a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mintmark.api.formats.trees import lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.api.models import Answer


def render(answer: Answer) -> bytes:
    """The answer, a line a row."""
    return print_lines(lines(answer))


def print_lines(trees: Iterable[Any]) -> bytes:
    """A line a tree."""
    return b"".join([orjson.dumps(tree, option=orjson.OPT_APPEND_NEWLINE) for tree in trees])
