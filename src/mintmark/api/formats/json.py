"""JSON (RFC 8259), on one line that is ended. An item alone is canonical: its bytes, no more, hash to its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from mintmark.api.formats.trees import tree
from mintmark.api.models import ItemAnswer
from mintmark.register import canonical

if TYPE_CHECKING:
    from mintmark.api.models import Answer


def render(answer: Answer) -> bytes:
    """The answer's tree."""
    if isinstance(answer, ItemAnswer):
        return canonical.format(answer.item)
    return orjson.dumps(tree(answer), option=orjson.OPT_APPEND_NEWLINE)
