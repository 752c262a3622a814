"""The rules that admit an entry to a register log, in order, each against the schema in force at its own position.

`Rules` is a frozen value, cheap to make and to throw away: a batch is admitted entry by entry, and a refusal leaves
the value that the batch started from. It is loaded from the latest definition of each system key and the latest
timestamp of each type.

Timestamps. A user entry is not older than the user entry before it. A definition says when it was made, and that may be
long before the register took it over (registers begin with fields that others defined), so system entries are not
ordered among themselves. No entry of either type is more than a minute in the future.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Rejected
from mintmark.register.datatypes import check_value, is_timestamp, shorten
from mintmark.register.definitions import Definition, definition_faults
from mintmark.register.entry import KEY_RULES, erased_index, is_definition_key, is_log_key, valid_key
from mintmark.register.item import SALT, item_hash, parse_item
from mintmark.register.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mintmark.register.entry import Entry
    from mintmark.register.item import Item

MAX_CLOCK_AHEAD = timedelta(seconds=60)  # of a client's clock before the mint's

_SALT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for the next entry, made of the entries so far.

    `definitions` holds the latest item of each system key but erasures, `positions` the index of the entry that it came
    with, where that is known. `clocks` holds the latest timestamp of each type ("user", "system"), where there is one.
    """

    schema: Schema
    definitions: Mapping[str, bytes]
    clocks: Mapping[str, str]
    salted: bool = False
    positions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        definitions: Mapping[str, bytes],
        clocks: Mapping[str, str | None],
        salted: bool = False,
        positions: Mapping[str, int] | None = None,
    ) -> Rules:
        """The rules as stored. An empty log has no definitions and no clocks."""
        known = {kind: clock for kind, clock in clocks.items() if clock is not None}
        return cls(Schema.load(definitions), dict(definitions), known, salted, dict(positions or {}))

    def definitions_since(self, before: Rules) -> dict[str, Definition]:
        """The definitions that were appended after `before`, by key."""
        return {
            key: Definition(index, self.definitions[key])
            for key, index in self.positions.items()
            if before.positions.get(key) != index
        }

    def clocks_since(self, before: Rules) -> dict[str, str]:
        """The clocks that have moved after `before`, by type."""
        return {kind: time for kind, time in self.clocks.items() if before.clocks.get(kind) != time}

    def admit(
        self, entry: Entry, item: bytes | None, *, now: str, size: int, legacy: bool = False
    ) -> tuple[Rules, list[str]]:
        """Admits the entry at index `size`; the rules for the next one, and warnings, in words.

        `legacy` turns the known faults of old data into warnings. `now` is a timestamp like the entry's own. `item` is
        None for a tombstone.

        Raises:
            Rejected: names the rule, and the field where one is at fault.
        """
        clocks = self._advance(entry, now)
        _check_key(entry, legacy)
        if item is None:
            _check_tombstone(entry)
            return self._at(clocks), []
        members = _open(entry, item)
        if entry.type == "system":
            return self._at(clocks)._admit_system(entry.key, item, members, size, legacy)
        if self.salted:
            _take_salt(members)
        return self._at(clocks), self.schema.check(entry.key, members, legacy)

    def _admit_system(self, key: str, item: bytes, members: Item, size: int, legacy: bool) -> tuple[Rules, list[str]]:
        erased = erased_index(key)
        if erased is not None:
            _check_erasure(erased, members, size)
            return self, []
        if not is_definition_key(key):
            return self, [f"{key} is no system key: it is kept, and defines nothing"]
        after = replace(
            self,
            schema=self.schema.define(key, members),
            definitions={**self.definitions, key: item},
            positions={**self.positions, key: size},
        )
        return after, _admit_faults(definition_faults(key, members), legacy)

    def _at(self, clocks: Mapping[str, str]) -> Rules:
        if clocks is self.clocks:
            return self
        return Rules(self.schema, self.definitions, clocks, self.salted, self.positions)

    def _advance(self, entry: Entry, now: str) -> Mapping[str, str]:
        """The clocks after the entry; the very same mapping where it does not move them."""
        time, last = entry.timestamp, self.clocks.get(entry.type)
        if time == last:
            return self.clocks
        if not is_timestamp(time):
            raise Rejected(f"not a timestamp: {shorten(time)}", rule="timestamp", field="timestamp")
        if time > now and time > _format_time(datetime.fromisoformat(now) + MAX_CLOCK_AHEAD):
            raise Rejected(f"{time} is in the future: it is {now}", rule="timestamp", field="timestamp")
        if last is None or time > last:
            return {**self.clocks, entry.type: time}
        if entry.type == "user":
            raise Rejected(f"{time} is before the last entry, of {last}", rule="timestamp", field="timestamp")
        return self.clocks


def _format_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_key(entry: Entry, legacy: bool) -> None:
    if valid_key(entry.type, entry.key, legacy=legacy):
        return
    reason = f"not a valid {entry.type} key: {shorten(entry.key)} is not {KEY_RULES[entry.type]}"
    if entry.type == "system" and is_log_key(entry.key):
        reason = f"{shorten(entry.key)} is a key of the log's own, which its mint alone appends"
    raise Rejected(reason, rule="key", field="key")


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
    """Takes the salt out of a record's members: it is in no schema."""
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


def _admit_faults(faults: list[tuple[str, str]], legacy: bool) -> list[str]:
    """The warnings for a definition's faults. Raises Rejected for the first of them without `legacy`."""
    if faults and not legacy:
        raise Rejected(faults[0][1], rule="definition", field=faults[0][0])
    return [fault for _, fault in faults]
