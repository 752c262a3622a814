"""YAML 1.1 as v1 had it: `---`, every string in double quotes (NO and 01 stay strings), lists at their key's indent.

A double-quoted YAML string allows every JSON escape; characters that YAML forbids are escaped as well. The writer is
our own because PyYAML takes several times as long (docs/adr/009-web-libraries.md).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from mintmark.api.formats.trees import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mintmark.api.models import Model

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_WORDS = frozenset(["y", "yes", "n", "no", "true", "false", "on", "off", "null"])
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def render_yaml(model: Model) -> bytes:
    """A model's tree as one document."""
    return print_tree(tree(model))


def print_tree(value: Any) -> bytes:
    """One tree as a document."""
    return ("---\n" + "\n".join(_block(value, "")) + "\n").encode()


def _block(value: Any, indent: str) -> Iterator[str]:
    """The lines of a value of any kind."""
    match value:
        case dict() if value:
            for key, member in value.items():
                yield from _member(f"{indent}{_key(key)}:", member, indent)
        case list() if value:
            for element in value:
                yield from _element(element, indent)
        case _:
            yield indent + _scalar(value)


def _member(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from _block(value, indent if isinstance(value, list) else indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _element(value: Any, indent: str) -> Iterator[str]:
    lines = _block(value, indent + "  ")
    yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
    yield from lines


def _scalar(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04X}", text)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else _scalar(key)
