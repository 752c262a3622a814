"""Statements out of `.sql` files, by name.

    -- name: oldest
    -- Comment lines are not sent.
    select index from entry where log = %(log)s {condition} order by index limit 1;

A name in braces is replaced when the file is loaded: by a fragment from the caller, or by an earlier statement of the
file. Other names in braces stay, for the caller to fill.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import LiteralString

_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def load_sql(package: str, name: str, **fragments: LiteralString) -> Mapping[str, LiteralString]:
    """The statements of the file `name`.sql in a package, by name.

    Their text is the program's own, never a user's: psycopg may take it as a literal.
    """
    text = resources.files(package).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    _, *parts = _HEADER.split(text)
    known: dict[str, LiteralString] = dict(fragments)
    statements: dict[str, LiteralString] = {}
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        statement = _COMMENT.sub("", body).strip().removesuffix(";")
        known[title] = statements[title] = _PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), statement)
    return statements
