"""Links and their targets: a record here, a register published elsewhere, or the web (openregister v1, "Linking").

A register here is found by its name; one elsewhere by the configured table of CURIE prefix -> URL, to which the key is
added ("https://country.registers.example/records/"). A link that neither knows dangles: it is shown as such, never
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mintmark.register.item import values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from mintmark.register.definitions import Field
    from mintmark.register.item import Item

TITLE_FIELDS = ("name", "title", "official-name")  # the value of the first that is there names a record to people


_SCHEMES = ("http://", "https://", "ftp://", "mailto:")  # others can run in a reader's page, or mean nothing there


class RecordLink(NamedTuple):
    """A record of a register, or the register itself where `key` is empty."""

    register: str
    key: str


class UrlLink(NamedTuple):
    """An address outside."""

    url: str


def link(field: Field, value: str) -> RecordLink | UrlLink | None:
    """The target of one value of a field; None for plain text."""
    if field.datatype == "curie" and ":" in value:
        prefix, _, reference = value.partition(":")
        return RecordLink(prefix.strip(), reference.strip())  # old data has blanks here
    if field.register is not None:
        return RecordLink(field.register, value)
    if field.datatype == "url" and value.lower().startswith(_SCHEMES):
        return UrlLink(value)
    return None


class LinkTarget(NamedTuple):
    """The target of a link; `href` is None where nobody knows it. `record` is (register, key) of a link `here`."""

    href: str | None
    where: Literal["here", "elsewhere", "web", "nowhere"]
    record: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Linker:
    """The names of the registers here, and the URLs of those elsewhere.

    `encode` makes a key one segment of a path. `base` is the URL of a register here, with {} for its name.
    """

    here: Collection[str]
    elsewhere: Mapping[str, str]
    encode: Callable[[str], str]
    base: str = "/{}"

    def target(self, field: Field, value: str) -> LinkTarget | None:
        """The target of one value of a field; None for plain text."""
        match link(field, value):
            case UrlLink(url):
                return LinkTarget(url, "web")
            case RecordLink(register, key):
                return self.record(register, key)
        return None

    def record(self, register: str, key: str) -> LinkTarget:
        """The target of a record; of the register itself where `key` is empty."""
        if register in self.here:
            href = f"{self.base.format(register)}/records"
            return (
                LinkTarget(f"{href}/{self.encode(key)}", "here", (register, key)) if key else LinkTarget(href, "here")
            )
        if (prefix := self.elsewhere.get(register)) is not None:
            return LinkTarget(prefix + self.encode(key), "elsewhere")
        return LinkTarget(None, "nowhere")

    def records(self, columns: Iterable[Field], item: Item | None) -> Iterator[tuple[str, str]]:
        """The (register, key) of every link of an item that leads to a record here."""
        for column in columns:
            if column.register is None and column.datatype != "curie":
                continue
            for value in values(item, column.name):
                found = link(column, value)
                if isinstance(found, RecordLink) and found.key and found.register in self.here:
                    yield found.register, found.key


def title(key: str, item: Item | None) -> str:
    """A record's name for people: its title field, else its key."""
    return next((found[0] for name in TITLE_FIELDS if (found := values(item, name))), key)
