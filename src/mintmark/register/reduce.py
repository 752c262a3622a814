"""The reducer of a register: the one definition of its state, and of how each entry changes it. Pure.

The state after no entries is empty. The entry at `index` with `type`, `key`, `timestamp` and, unless it is a tombstone,
`item_hash` changes these parts of it; a leaf that is no entry changes none:

    part          from -> to               changed by                  how
    latest        (type, key) -> index     every entry                 its key's is `index`
    clocks        type -> timestamp        every entry                 its type's is the later of the two
    definitions   key -> (index, item)     a system entry              its key's is `index` and the item: not by an
                                                                       erasure, a tombstone, a key that is not known,
                                                                       or an item that is not here
    erasures      index -> index           a system entry erase:<i>    that of i is `index`: only where i < index, and
                                                                       where no entry before erased i
    standing      set of keys              a user entry                its key is in it: with an item, added;
                                                                       a tombstone, removed
    live          number                                               the size of `standing`
    number        number                   a user entry                one more
    v1            edge of a tree           a user entry                its v1 leaf is appended (`entry.v1_leaf`)

A register as of a size is this state after that many entries. An item that was erased changes none of it but
`definitions`: what stands and what is latest are said by the leaves alone.

The parts need nothing of one another, so a caller folds those that it keeps. `fold_*` take entries in runs, in the
order of the log, and change a part in place; how a log is cut into runs makes no difference. A mirror keeps `latest`
and `standing` in its rows, where it looks up the keys of one batch: `project` gives all of the batch's rows but the
counts that depend on it, and `count_standing` these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, Rejected
from mintmark.register import kernel
from mintmark.register.definitions import Definition
from mintmark.register.entry import erased_index, is_definition_key
from mintmark.register.item import parse_item, values
from mintmark.tlog.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from mintmark.register.entry import Entry, Row
    from mintmark.register.item import Item
    from mintmark.register.schema import Schema
    from mintmark.tlog.tile import Key as TileKey

    Key = tuple[str, str]  # type, key: a record and a definition of one key are two


def key_of(entry: Entry) -> Key:
    """The key of which the entry is the latest until the next of it comes."""
    return entry.type, entry.key


def stands(entry: Entry) -> bool:
    """True if a record whose latest entry this is stands; a tombstone ends it."""
    return entry.item_hash is not None


def defined_key(entry: Entry) -> str | None:
    """The key that an entry defines; None for a record, a tombstone, an erasure and a system key that is not known."""
    defines = entry.type == "system" and entry.item_hash is not None and is_definition_key(entry.key)
    return entry.key if defines else None


def erased_by(index: int, entry: Entry) -> int | None:
    """The index whose item the entry at `index` erases; None where it erases none. Only earlier ones can be erased."""
    erased = erased_index(entry.key) if entry.type == "system" else None
    return erased if erased is not None and erased < index else None


class Erasure(NamedTuple):
    """The entry that erased an item: its index, and what its own item says; a text is empty where that says none."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about an erasure
    reason: str = ""
    authority: str = ""

    @classmethod
    def of(cls, index: int, item: Item | None) -> Erasure:
        """The erasure by the entry at `index`, of this item."""
        texts = (" ".join(values(item, member)) for member in ("reason", "authority"))
        return cls(index, *texts)

    def __str__(self) -> str:
        said = "".join(
            f", {what}: {text}" for what, text in zip(("reason", "authority"), self[1:], strict=True) if text
        )
        return f"erased by entry {self.index}{said}"


def define(schema: Schema, key: str, item: Item | None) -> Schema:
    """The schema after a system entry. One that defines nothing is in the log all the same, and changes nothing."""
    if item is None:
        return schema
    try:
        return schema.define(key, item)
    except (Malformed, Rejected):
        return schema


def fold_definitions(definitions: dict[str, Definition], rows: Iterable[Row]) -> None:
    """Adds the definitions among these rows."""
    for row in rows:
        if row.item is not None and row.entry is not None and (key := defined_key(row.entry)) is not None:
            definitions[key] = Definition(row.index, row.item)


def fold_schema(schema: Schema, rows: Iterable[Row]) -> Schema:
    """The schema after these rows. In a log of another mint an entry may define nothing that is understood here."""
    for row in rows:
        if row.item is not None and row.entry is not None and (key := defined_key(row.entry)) is not None:
            schema = define(schema, key, parse_item(row.item))
    return schema


def fold_clocks(clocks: dict[str, str], rows: Iterable[Row]) -> None:
    """Moves the clocks to the latest timestamps among these rows."""
    for row in rows:
        if (entry := row.entry) is not None and entry.timestamp > clocks.get(entry.type, ""):
            clocks[entry.type] = entry.timestamp


def fold_erasures(erasures: dict[int, int], rows: Iterable[Row]) -> None:
    """Adds the erasures among these rows: the index of an item -> the first entry that erases it."""
    for row in rows:
        if (entry := row.entry) is not None and entry.type == "system":
            erased = erased_by(row.index, entry)
            if erased is not None:
                erasures.setdefault(erased, row.index)


@dataclass
class ItemGaps:
    """Items that are not there, and the erasures that may explain them."""

    missing: set[int] = field(default_factory=set)  # the indices of their entries
    erasures: dict[int, int] = field(default_factory=dict)

    def fold(self, rows: Sequence[Row]) -> None:
        """Adds the gaps and the erasures among these rows."""
        self.missing.update([row.index for row in rows if row.missing])
        fold_erasures(self.erasures, rows)

    def unexplained(self) -> set[int]:
        """The gaps that no entry so far explains: each item is lost, or its erasure is still to come."""
        return self.missing - self.erasures.keys()


@dataclass(frozen=True, slots=True)
class RunningCounts:
    """The parts of the state that stand in each row of the projection, after some entry."""

    live: int = 0
    v1: Edge = field(default_factory=Edge)

    @property
    def number(self) -> int:
        """User entries so far."""
        return self.v1.size


@dataclass(frozen=True, slots=True)
class RegisterRows:
    """Entries that follow one another, and what the state says of them. Final, but for the counts of live records.

    `following` is parallel to `rows`: the index of the next entry of the row's key, where that is among these.
    """

    rows: list[Row]
    following: list[int | None]
    first_keys: dict[Key, int]  # the index of each key's first entry among these
    number: int  # user entries before them
    v1: Edge  # after them
    v1_tiles: dict[TileKey, bytes]  # of the v1 tree, that they touched, as wide as they are after them
    erased: dict[int, int]  # the index of an item -> the entry that erases it
    missing: list[int]  # indices of entries whose items did not come


def project(v1: Edge, rows: list[Row]) -> RegisterRows:
    """The projection of entries that follow one another; `v1` is the edge of the v1 tree before them."""
    following, first_keys = _chain(rows)
    after, tiles = v1.extend(kernel.v1_hashes(v1.size, rows))
    erased: dict[int, int] = {}
    fold_erasures(erased, rows)
    missing = [row.index for row in rows if row.missing]
    return RegisterRows(rows, following, first_keys, v1.size, after, tiles, erased, missing)


def count_standing(rows: Iterable[Row], stood: AbstractSet[str], live: int) -> list[int]:
    """How many records stand after each row. Before them `live` stood, `stood` among those of the rows' keys."""
    standing, counts = set(stood), []
    for _, _, entry, _, _, _ in rows:
        if entry is not None and entry.type == "user":
            if entry.item_hash is not None:
                live += entry.key not in standing
                standing.add(entry.key)
            elif entry.key in standing:
                live -= 1
                standing.remove(entry.key)
        counts.append(live)
    return counts


def _chain(rows: Sequence[Row]) -> tuple[list[int | None], dict[Key, int]]:
    """For each row, the index of the next entry of its key among these; and each key's first."""
    first: dict[Key, int] = {}
    last: dict[Key, int] = {}
    following: list[int | None] = [None] * len(rows)
    for at, row in enumerate(rows):
        if row.entry is not None:
            key = (row.entry.type, row.entry.key)
            if (before := last.get(key)) is None:
                first[key] = row.index
            else:
                following[before] = row.index
            last[key] = at
    return following, first
