"""Where a value leads: to a record served here, to a register published elsewhere, or to the web.

A register here is found by its name; one elsewhere by the configured table, CURIE prefix -> URL that the key is added
to ("https://country.registers.example/records/"). What neither knows dangles: it is shown as such, never refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from mintmark.api.negotiate import SUFFIXES
from mintmark.register.definitions import RecordLink, UrlLink, link

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

TITLES = ("name", "title", "official-name")  # fields whose value names a record to people


class Target(NamedTuple):
    """Where a link leads; `href` is None where nobody knows. `record` is (register, key) of a link `here`."""

    href: str | None
    where: Literal["here", "elsewhere", "web", "nowhere"]
    record: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Linker:
    """The registers here by name, and the table of those elsewhere. `base` has a place for a register's name."""

    here: Collection[str]
    elsewhere: Mapping[str, str]
    base: str = "/{}"

    def target(self, field: Field, value: str) -> Target | None:
        """Where one value of a field leads; None: it is plain text."""
        match link(field, value):
            case UrlLink(url):
                return Target(url, "web")
            case RecordLink(register, key):
                return self.record(register, key)
        return None

    def record(self, register: str, key: str) -> Target:
        """A record of a register, or the register itself where `key` is empty."""
        if register in self.here:
            href = f"{self.base.format(register)}/records"
            return Target(f"{href}/{segment(key)}", "here", (register, key)) if key else Target(href, "here")
        if (prefix := self.elsewhere.get(register)) is not None:
            return Target(prefix + segment(key), "elsewhere")
        return Target(None, "nowhere")

    def records(self, columns: Iterable[Field], item: Item | None) -> Iterator[tuple[str, str]]:
        """The (register, key) of every link of an item that leads to a record here."""
        for column in columns:
            if column.register is None and column.datatype != "curie":
                continue
            for value in values(item, column.name):
                target = self.target(column, value)
                if target is not None and target.record is not None:
                    yield target.record


def values(item: Item | None, field: str) -> list[str]:
    """The values of a field, none where it is missing."""
    value = item.get(field, []) if item else []
    return [value] if isinstance(value, str) else value


def title(row: EntryRow) -> str:
    """What people call a record: its name, else its key."""
    return next((found[0] for name in TITLES if (found := values(row.item, name))), row.key)


def segment(key: str) -> str:
    """A key as one segment of a path; what ends like a format is none (`request.parse`)."""
    if key.isascii() and key.isalnum():
        return key
    stem, dot, end = key.rpartition(".")
    return f"{quote(stem, safe='')}%2E{end}" if dot and end in SUFFIXES else quote(key, safe="")
