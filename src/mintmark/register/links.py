"""What a value links to (openregister specification v1, "Linking").

A field with `register` holds keys of that register; a CURIE `prefix:key` names the register itself, and `prefix:` all
of it; a url is its own target. A link may dangle, or lead to a register that is not served here: finding the base URL
of a register is the caller's, and so is not failing over one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mintmark.register.definitions import Field

_SCHEMES = ("http://", "https://", "ftp://", "mailto:")  # others can run in a reader's page, or mean nothing there


class RecordLink(NamedTuple):
    """A record of a register, or the register itself where `key` is empty."""

    register: str
    key: str


class UrlLink(NamedTuple):
    """An address outside."""

    url: str


def link(field: Field, value: str) -> RecordLink | UrlLink | None:
    """The target of one value of a field; None where it is plain text."""
    if field.datatype == "curie" and ":" in value:
        prefix, _, reference = value.partition(":")
        return RecordLink(prefix.strip(), reference.strip())  # old data has blanks here
    if field.register is not None:
        return RecordLink(field.register, value)
    if field.datatype == "url" and value.lower().startswith(_SCHEMES):
        return UrlLink(value)
    return None
