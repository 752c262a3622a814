"""What routes answer: frozen values that say everything a representation may show, and nothing of how it looks.

Every format renders these same values. An answer speaks for one `View`, a register as of one size; each row it holds is
below that size. `None` for an item means that there is none: the entry ends a record (`ended`), or the item was erased
(`erased`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.api.linking import Linker
    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.register.schema import Schema
    from mintmark.store.registers.register_store import EntryRow

    Params = Mapping[str, str]  # a query string's, without `at`


@dataclass(frozen=True)
class View:
    """A register as of `size`, whose tree has this `root`.

    `head` is the newest size here, `at` what the client asked for (a size or a time), None for the newest. `records`
    and `entries` count as of `size`: the records that stand, and the user entries. `updated` is the last user entry's
    timestamp. `base` goes before every path of the register: "/country", or "" where it has a host name of its own.
    """

    name: str
    origin: str
    base: str
    size: int
    root: bytes
    head: int
    at: str | None
    records: int
    entries: int
    updated: str | None
    schema: Schema
    linker: Linker
    salted: bool = False

    @property
    def title(self) -> str:
        """What people call the register."""
        return self.schema.title or self.name

    @property
    def fixed(self) -> bool:
        """Whether a size was asked for: what was true then stays true. A time may be one that is yet to come."""
        return self.at is not None and self.at.isdecimal()

    @property
    def columns(self) -> tuple[Field, ...]:
        """The fields, in the register's order."""
        return self.schema.columns

    @cached_property
    def linked(self) -> list[Field]:
        """The fields whose values may lead somewhere."""
        return [c for c in self.schema.columns if c.register is not None or c.datatype in ("curie", "url")]

    @cached_property
    def tag(self) -> str:
        """What an entity tag says of the view: what it shows, and at which head, for items are erased later."""
        return f"{self.size}-{self.root.hex()[:16]}-{self.head}"


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list this is. `next` and `previous` are the parameters of the pages beside it, None: no page.

    `first` and `last` number the rows from 1, `total` counts them; each None where that would take reading them all.
    """

    next: Params | None = None
    previous: Params | None = None
    first: int | None = None
    last: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A record between two sizes: `before` is None where it was added, `after` where it ended."""

    key: str
    before: EntryRow | None
    after: EntryRow | None

    @property
    def kind(self) -> Literal["added", "changed", "ended"]:
        """What happened to the record."""
        if self.before is None:
            return "added"
        return "ended" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Referrer:
    """A record, here or in another register, one of whose fields links to the record that is shown."""

    register: str
    field: str
    key: str
    title: str
    value: str  # of the field: what /records/{field}/{value} of that register lists


@dataclass(frozen=True, slots=True)
class Growth:
    """A point of a register's history: the records that stood once entry `index` was there."""

    index: int
    timestamp: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every answer has.

    `path` is the resource's, below the register's base and without a suffix ("/records/GB"); `params` are the query's,
    without `at`. `formats` are the suffixes that this resource can be had in. Where an answer has `dangling`, those are
    the (register, key) of its links that lead to no record here.
    """

    path: str
    params: Params = field(default_factory=dict)
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterList(Answer):
    """Every register here, by name."""

    registers: Sequence[View]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAnswer(Answer):
    """An answer about one register as of one size."""

    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterHome(RegisterAnswer):
    """A register's home. `checkpoint` is the signed note of its newest head.

    HTML alone is given `growth`, up to 60 points of all its history, and the `dangling` links of its fields' names.
    """

    checkpoint: bytes
    growth: Sequence[Growth]
    dangling: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Records(RegisterAnswer):
    """A page of records: all, those that a `facet` (field, value) names, or those that `query` finds."""

    rows: Sequence[EntryRow]
    page: Page
    facet: tuple[str, str] | None = None
    query: str | None = None
    dangling: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(RegisterAnswer):
    """One record: its latest entry. HTML alone is given, for it shows them, `history` (newest first), `referrers`, and
    `titles` of the records that it links to, by (register, key).

    `more_history` and `more_referrers` tell that there are more than these.
    """

    row: EntryRow
    dangling: frozenset[tuple[str, str]] = frozenset()
    history: Sequence[EntryRow] = ()
    referrers: Sequence[Referrer] = ()
    titles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    more_history: bool = False
    more_referrers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrers(RegisterAnswer):
    """What refers to the record `key`, from anywhere here: at most 100 records for each field that may."""

    key: str
    referrers: Sequence[Referrer]
    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries(RegisterAnswer):
    """A page of entries, ascending; of one record where `key` is given, newest included."""

    rows: Sequence[EntryRow]
    page: Page
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAnswer(RegisterAnswer):
    """One entry, with its item."""

    row: EntryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAnswer(RegisterAnswer):
    """One item, and the entry that first brought it."""

    item: Item
    row: EntryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff(RegisterAnswer):
    """A page of what changed from `before.size` to `view.size`: each record once, in the order of its last change."""

    before: View
    changes: Sequence[Change]
    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterProof(RegisterAnswer):
    """The root of the v1 tree, over the user entries alone."""

    v1_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof(RegisterAnswer):
    """The v1 audit path of the user entry `number` (from 1)."""

    number: int
    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof(RegisterAnswer):
    """The v1 consistency nodes between two numbers of user entries."""

    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Answer):
    """An error, in words for whoever asked. `view` is the register's where it is known."""

    status: int
    title: str
    detail: str
    view: View | None = None
