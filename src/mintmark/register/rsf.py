"""Register Serialisation Format (openregister specification v1, "RSF"): a command a line, fields separated by TABs.

    assert-root-hash  sha-256:…
    add-item          {canonical JSON}
    append-entry      user|system  key  timestamp  sha-256:…

Reading is strict and all or nothing: `Rejected` gives the line and the reason. Entries are not checked against a schema
here: `Rules` does that, in the same order. LF and CRLF are read, LF is written.

A file is of a whole register, or continues one: then it begins with the root over the user entries before its own. It
has no keys of a log's own (`erase:`, `log:`). `legacy` admits what published files have: the bare name of a field as a
system key, and items that no entry refers to.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, Rejected
from mintmark.register.datatypes import is_timestamp, shorten
from mintmark.register.entry import (
    KEY_RULES,
    TYPES,
    Entry,
    erased_index,
    is_log_key,
    is_published_key,
    v1_extend,
    valid_key,
)  # fmt: skip
from mintmark.register.item import format_hash, item_hash, parse_hash, parse_item
from mintmark.tlog.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_EMPTY = Edge()


class AssertRoot(NamedTuple):
    """The v1 root over the user entries so far."""

    line: int
    root: bytes


class AddItem(NamedTuple):
    """An item that later entries refer to."""

    line: int
    item: bytes


class AppendEntry(NamedTuple):
    """The next entry."""

    line: int
    entry: Entry


Command = AssertRoot | AddItem | AppendEntry


class RsfEntry(NamedTuple):
    """An entry with its item, and the line that appended it."""

    entry: Entry
    item: bytes
    line: int


def parse_rsf(source: bytes | Iterable[bytes], *, legacy: bool = False) -> Iterator[Command]:
    """The commands of a file, or of its lines, each checked alone, as they come.

    Raises:
        Rejected: rule "rsf", with the line.
    """
    number = 0
    for number, line in enumerate(io.BytesIO(source) if isinstance(source, bytes) else source, 1):
        try:
            yield _parse_line(number, line.removesuffix(b"\n").removesuffix(b"\r"), legacy)
        except Malformed as error:
            raise _rejected(number, str(error)) from None
    if not number:
        raise _rejected(1, "the file is empty")


def continued_root(commands: Iterable[Command]) -> AssertRoot | None:
    """The root that a file continues from; None for a file of a whole register."""
    for command in commands:
        if isinstance(command, AppendEntry) and command.entry.type == "user":
            return None
        if isinstance(command, AssertRoot) and command.root != _EMPTY.root():
            return command
    return None


def read_entries(
    commands: Iterable[Command],
    *,
    known: Callable[[bytes], bytes | None] = lambda digest: None,
    edge: Edge = _EMPTY,
    legacy: bool = False,
) -> tuple[list[RsfEntry], list[str]]:
    """The entries of a file in its order, after every check that the file alone allows; and `legacy` faults, in words.

    To continue a register, `edge` is that of its v1 tree, and `known` finds an item that it already holds by its
    32-byte hash.

    Raises:
        Rejected: rule "rsf", with the line: an entry without its item, an item without an entry, or a root that is not
            ours.
    """
    entries: list[RsfEntry] = []
    items: dict[bytes, bytes] = {}
    unused: dict[bytes, int] = {}  # the line of each item that no entry has referred to since
    rooted = 0  # how many of `entries` the edge covers
    for command in commands:
        if isinstance(command, AddItem):
            digest = item_hash(command.item)
            items[digest], unused[digest] = command.item, command.line
        elif isinstance(command, AppendEntry):
            entries.append(_with_item(command, items, known))
            unused.pop(item_hash(entries[-1].item), None)
        else:
            edge, rooted = v1_extend(edge, (row.entry for row in entries[rooted:])), len(entries)
            _check_root(command, edge)
    orphans = [(line, f"no entry refers to the item {format_hash(digest)}") for digest, line in unused.items()]
    if orphans and not legacy:
        raise _rejected(*orphans[0])
    return entries, [f"line {line}: {fault}" for line, fault in orphans]


def write_rsf(rows: Sequence[tuple[Entry, bytes | None]], before: Edge = _EMPTY) -> Iterator[bytes]:
    """The lines of a file of `rows`: entries in the log's order, each with its item.

    With `before`, the v1 edge that the reader has already, it is the file of a range: `rows` follow that edge, and
    system entries are left out. So are entries by which the log speaks of itself. All is checked before the first line.

    Raises:
        Rejected: rule "rsf": a tombstone, an erasure or an erased item; the format has none of them.
    """
    published = (row for row in rows if row[0].type == "system" and not is_log_key(row[0].key))
    system = [] if before.size else [_writable(*row) for row in published]
    user = [_writable(*row) for row in rows if row[0].type == "user"]
    yield root_line(before.root())
    if before.size and not user:
        return
    for item in dict.fromkeys(item for _, item in (*system, *user)):
        yield item_line(item)
    for entry, _ in (*system, *user):
        yield entry_line(entry)
    yield root_line(v1_extend(before, (entry for entry, _ in user)).root())


def root_line(root: bytes) -> bytes:
    """The line that asserts a v1 root."""
    return _line("assert-root-hash", format_hash(root))


def item_line(item: bytes) -> bytes:
    """The line that adds an item."""
    return b"add-item\t" + item + b"\n"


def entry_line(entry: Entry) -> bytes:
    """The line that appends an entry, which is no tombstone."""
    return _line("append-entry", entry.type, entry.key, entry.timestamp, format_hash(entry.item_hash or b""))


def _parse_line(number: int, line: bytes, legacy: bool) -> Command:
    try:
        name, *arguments = line.decode().split("\t")
    except UnicodeDecodeError:
        raise Malformed("invalid UTF-8") from None
    if not arguments:
        raise Malformed("an empty line" if not line else "a line without a TAB")
    expected = _ARGUMENTS.get(name)
    if expected is None:
        raise Malformed(f"unknown command {shorten(name)}")
    if len(arguments) != len(expected):
        raise Malformed(f"{name} takes {', '.join(expected)}: {len(expected)}, not {len(arguments)}")
    if name == "add-item":
        item = arguments[0].encode()
        parse_item(item)
        return AddItem(number, item)
    if name == "append-entry":
        return AppendEntry(number, _parse_entry(*arguments, legacy=legacy))
    return AssertRoot(number, parse_hash(arguments[0]))


_ARGUMENTS = {
    "assert-root-hash": ("a hash",),
    "add-item": ("an item",),
    "append-entry": ("a type", "a key", "a timestamp", "a hash"),
}


def _parse_entry(name: str, key: str, timestamp: str, digest: str, *, legacy: bool) -> Entry:
    kind = TYPES.get(name)
    if kind is None:
        raise Malformed(f"a type is user or system, not {shorten(name)}")
    if kind == "system" and not is_published_key(key):
        raise Malformed(f"{shorten(key)} is a key of a log's own, which no file brings into another")
    if not valid_key(kind, key, legacy=legacy):
        raise Malformed(f"not a valid {kind} key: {shorten(key)} is not {KEY_RULES[kind]}")
    if not is_timestamp(timestamp):
        raise Malformed(f"not a timestamp: {shorten(timestamp)}")
    if ";" in digest:
        raise Malformed("an entry has one item")
    return Entry(key, timestamp, kind, parse_hash(digest))


def _with_item(command: AppendEntry, items: dict[bytes, bytes], known: Callable[[bytes], bytes | None]) -> RsfEntry:
    digest = command.entry.item_hash
    assert digest is not None  # noqa: S101 (the format has no tombstones)
    item = items.get(digest) or known(digest)
    if item is None:
        raise _rejected(command.line, f"no item {format_hash(digest)} before this entry")
    return RsfEntry(command.entry, item, command.line)


def _check_root(command: AssertRoot, edge: Edge) -> None:
    root = edge.root()
    if command.root != root:
        raise _rejected(
            command.line,
            f"the root over {edge.size} user entries is {format_hash(root)}, not {format_hash(command.root)}",
        )


def _writable(entry: Entry, item: bytes | None) -> tuple[Entry, bytes]:
    if item is None or erased_index(entry.key) is not None:
        what = "a tombstone" if entry.item_hash is None else "an erasure"
        raise Rejected(f"RSF cannot say {what} (key {shorten(entry.key)}): export JSON Lines instead", rule="rsf")
    return entry, item


def _line(*fields: str) -> bytes:
    return "\t".join(fields).encode() + b"\n"


def _rejected(line: int, reason: str) -> Rejected:
    return Rejected(f"line {line}: {reason}", rule="rsf", line=line)
