"""JSON (RFC 8259). An item alone is canonical: its bytes hash to its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from mintmark.api.answers import ItemAnswer
from mintmark.api.formats.trees import tree
from mintmark.register import canonical

if TYPE_CHECKING:
    from mintmark.api.answers import Answer


def render(answer: Answer) -> bytes:
    """The answer's tree."""
    return canonical.format(answer.item) if isinstance(answer, ItemAnswer) else orjson.dumps(tree(answer))
