"""JSON (RFC 8259)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from mintmark.api.formats.trees import tree

if TYPE_CHECKING:
    from mintmark.api.answers import Answer


def render(answer: Answer) -> bytes:
    """The answer's tree."""
    return orjson.dumps(tree(answer))
