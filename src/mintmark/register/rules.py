"""The rules that admit an entry to a register log, in order, each against the schema in force at its own position.

`Rules` is a frozen value, cheap to make and to throw away: a batch is admitted entry by entry, and a refusal leaves
the value that the batch started from. It is loaded from the latest item of each system key and the latest timestamp
of each type.

Timestamps. A user entry is not older than the user entry before it. A definition says when it was made, which may be
long before the register took it over (registers begin with fields that others defined), so system entries are not
ordered among themselves; for both, nothing is more than a minute in the future.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Rejected
from mintmark.register.datatypes import check_value, is_timestamp, shorten
from mintmark.register.entry import erased_index, valid_key
from mintmark.register.item import SALT, item_hash, parse_item
from mintmark.register.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mintmark.register.entry import Entry
    from mintmark.register.item import Item

SLACK = timedelta(seconds=60)  # how far a client's clock may be ahead

_SALT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the entries so far mean for the next one.

    `definitions` holds the latest item of each system key but erasures, `clocks` the latest timestamp of each type
    ("user", "system"), where there is one.
    """

    schema: Schema
    definitions: Mapping[str, bytes]
    clocks: Mapping[str, str]
    salted: bool = False

    @classmethod
    def load(cls, definitions: Mapping[str, bytes], clocks: Mapping[str, str | None], salted: bool = False) -> Rules:
        """The rules as stored. An empty log has no definitions and no clocks."""
        known = {kind: clock for kind, clock in clocks.items() if clock is not None}
        return cls(Schema.load(definitions), dict(definitions), known, salted)

    def admit(
        self, entry: Entry, item: bytes | None, *, now: str, size: int, legacy: bool = False
    ) -> tuple[Rules, list[str]]:
        """Admit the entry at index `size`; return the rules for the next one, and warnings, in words.

        `legacy` turns the known faults of old data into warnings.

        `now` is a timestamp like the entry's own. `item` is None for a tombstone.

        Raises:
            Rejected: with the rule, and the field where it is one's fault.
        """
        clocks = self._advance(entry, now)
        if not valid_key(entry.type, entry.key):
            raise Rejected(f"not a valid {entry.type} key: {shorten(entry.key)}", rule="key", field="key")
        if item is None:
            _check_tombstone(entry)
            return self._at(clocks), []
        members = _open(entry, item)
        if entry.type == "system":
            return self._at(clocks)._admit_system(entry.key, item, members, size)
        if self.salted:
            _take_salt(members)
        return self._at(clocks), self.schema.check(entry.key, members, legacy)

    def _admit_system(self, key: str, item: bytes, members: Item, size: int) -> tuple[Rules, list[str]]:
        erased = erased_index(key)
        if erased is not None:
            _check_erasure(erased, members, size)
            return self, []
        schema = self.schema.define(key, members)
        return Rules(schema, {**self.definitions, key: item}, self.clocks, self.salted), _misnamed(key, members)

    def _at(self, clocks: Mapping[str, str]) -> Rules:
        return self if clocks is self.clocks else Rules(self.schema, self.definitions, clocks, self.salted)

    def _advance(self, entry: Entry, now: str) -> Mapping[str, str]:
        """The clocks after the entry; the very same mapping where it does not move them."""
        time, last = entry.timestamp, self.clocks.get(entry.type)
        if time == last:
            return self.clocks
        if not is_timestamp(time):
            raise Rejected(f"not a timestamp: {shorten(time)}", rule="timestamp", field="timestamp")
        if time > now and time > _format_time(datetime.fromisoformat(now) + SLACK):
            raise Rejected(f"{time} is in the future: it is {now}", rule="timestamp", field="timestamp")
        if last is None or time > last:
            return {**self.clocks, entry.type: time}
        if entry.type == "user":
            raise Rejected(f"{time} is before the last entry, of {last}", rule="timestamp", field="timestamp")
        return self.clocks


def _format_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_tombstone(entry: Entry) -> None:
    if entry.item_hash is not None:
        raise Rejected("the item is missing", rule="item-hash")
    if entry.type != "user":
        raise Rejected("only a record can end: a system entry has an item", rule="tombstone")


def _open(entry: Entry, item: bytes) -> Item:
    """The members of the entry's item."""
    if item_hash(item) != entry.item_hash:
        raise Rejected("the item does not have the hash that the entry names", rule="item-hash")
    try:
        return parse_item(item)
    except Malformed as error:
        raise Rejected(f"the item: {error}", rule="canonical") from None


def _take_salt(members: Item) -> None:
    """Take the salt out of a record's members: it is in no schema."""
    value = members.pop(SALT, None)
    if not (isinstance(value, str) and _SALT.fullmatch(value)):
        raise Rejected(f"the register is salted: {SALT} is 32 lower-case hex digits", rule="salt", field=SALT)


def _check_erasure(index: int, members: Item, size: int) -> None:
    if index >= size:
        raise Rejected(f"index {index} is not before this entry, {size}", rule="erasure", field="key")
    if members.keys() != {"authority", "reason"}:
        raise Rejected("an erasure gives its authority and reason, nothing else", rule="erasure")
    for member, value in members.items():
        if not isinstance(value, str):
            raise Rejected(f"{member} is one string", rule="erasure", field=member)
        check_value("text", value)


def _misnamed(key: str, members: Item) -> list[str]:
    """A warning where a field's definition calls itself something else than its key does."""
    kind, _, name = key.partition(":")
    return [f"the item of {key} calls it {members['field']}"] if kind == "field" and members["field"] != name else []
