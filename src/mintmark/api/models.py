"""The models: frozen values that a route returns and that every format prints. They say nothing of how it looks.

A model of a register speaks for one `View`, the register as of one size, and each of its rows is below that size. An
item is None where the entry ends its record (`ended`), where the item was erased (`erased`, by its `erasure`), and
where its bytes are no item by our grammar (`unreadable`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.api.freshness import LogFreshness
    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.register.links import Linker
    from mintmark.register.schema import Schema
    from mintmark.store.registers.register_store import EntryRow

    Params = Mapping[str, str]  # of a query, without `at`


@dataclass(frozen=True)
class View:
    """A register as of `size`, whose tree has this `root`.

    `head` is the newest size here. `at` is the size or time that the client asked for, None for the newest. `records`
    counts the records that stand at `size`, `entries` the user entries; `updated` is the last user entry's timestamp.
    `base` goes before every path of the register: "/country", or "" on a host name of its own.
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
        """The register's name for people."""
        return self.schema.title or self.name

    @property
    def fixed(self) -> bool:
        """True if a size was asked for: its answers never change. A time may lie in the future, and is not fixed."""
        return self.at is not None and self.at.isdecimal()

    @property
    def columns(self) -> tuple[Field, ...]:
        """The fields, in the register's order."""
        return self.schema.columns

    @cached_property
    def column_names(self) -> frozenset[str]:
        """The names of the fields."""
        return frozenset(column.name for column in self.schema.columns)

    @cached_property
    def linked(self) -> list[Field]:
        """The fields whose values may be links."""
        return [c for c in self.schema.columns if c.register is not None or c.datatype in ("curie", "url")]

    @cached_property
    def tag(self) -> str:
        """The view's part of an entity tag. The head is in it because items are erased later."""
        return f"{self.size}-{self.root.hex()[:16]}-{self.head}"


@dataclass(frozen=True, slots=True)
class Page:
    """The position of a page in its list. `next` and `previous` are the parameters of the pages beside it, if any.

    `first` and `last` number the page's rows from 1, `total` counts the list's; None where it is not known.
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
        """The kind of the change."""
        if self.before is None:
            return "added"
        return "ended" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Referrer:
    """A record of any register here with a field that links to the shown record."""

    register: str
    field: str
    key: str
    title: str
    value: str  # of the field, as in /records/{field}/{value}


@dataclass(frozen=True, slots=True)
class Growth:
    """A point of a register's history: the number of records that stood after entry `index`."""

    index: int
    timestamp: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The fields of every model.

    `path` is the resource's, below the register's base and without a suffix ("/records/GB"). `params` are the query's,
    without `at`. `formats` are the suffixes of the resource. `full` means with the members that v1 has not. Where a
    model has `dangling`, it holds the (register, key) of each link that leads to no record here.
    """

    path: str
    params: Params = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterList(Model):
    """Every register here, by name; `freshness` is parallel to them."""

    registers: Sequence[View]
    freshness: Sequence[LogFreshness]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterModel(Model):
    """A model of one register as of one size; `freshness` is its log's now."""

    view: View
    freshness: LogFreshness


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDetail(RegisterModel):
    """A register. `checkpoint` is the signed note of its newest head.

    `growth`, points of its whole history, and the `dangling` links of its fields' names are read for HTML alone.
    """

    checkpoint: bytes
    growth: Sequence[Growth]
    dangling: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordList(RegisterModel):
    """A page of records: of all, of those with the `facet` (field, value), or of those that `query` finds."""

    rows: Sequence[EntryRow]
    page: Page
    facet: tuple[str, str] | None = None
    query: str | None = None
    dangling: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDetail(RegisterModel):
    """One record: its latest entry.

    `history` (newest first), `referrers` and the `titles` of the records that it links to, by (register, key), are read
    for HTML alone. `more_history` and `more_referrers` tell that there are more than these.
    """

    row: EntryRow
    dangling: frozenset[tuple[str, str]] = frozenset()
    history: Sequence[EntryRow] = ()
    referrers: Sequence[Referrer] = ()
    titles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    more_history: bool = False
    more_referrers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerList(RegisterModel):
    """The records of any register here that link to the record `key`: at most 100 for each field that may."""

    key: str
    referrers: Sequence[Referrer]
    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryList(RegisterModel):
    """A page of entries, ascending; of one record where `key` is given, newest included."""

    rows: Sequence[EntryRow]
    page: Page
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryDetail(RegisterModel):
    """One entry, with its item."""

    row: EntryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDetail(RegisterModel):
    """One item, and the entry that first brought it. An unreadable one is shown by its bytes, in HTML alone."""

    item: Item | None
    row: EntryRow
    unreadable: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff(RegisterModel):
    """A page of the changes from `before.size` to `view.size`: each record once, in the order of its last change."""

    before: View
    changes: Sequence[Change]
    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterProof(RegisterModel):
    """The root of the v1 tree, over the user entries alone."""

    v1_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof(RegisterModel):
    """The v1 audit path of the user entry `number` (from 1)."""

    number: int
    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof(RegisterModel):
    """The v1 consistency nodes between two numbers of user entries."""

    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Model):
    """An error in words for the client (RFC 9457). `view` is the register's, where it is known."""

    status: int
    title: str
    detail: str
    view: View | None = None
