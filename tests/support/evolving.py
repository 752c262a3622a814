"""A register with a history: records that come, change, end and come back, fields that are added, an erased item.

`state`, `changes` and `size_at` say what it is at any size, in a few lines that read the entries from the start.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from mintmark.register import canonical
from mintmark.register.item import format_hash
from tests.support.lighthouse import define_field, define_register, system, user

if TYPE_CHECKING:
    from mintmark.register.entry import Entry

Row = tuple["Entry", bytes | None]

KEYS = [f"R{number}" for number in range(40)] + ["a/b", "x.json", "y.proof", "100", "entries"]
WORDS = ["oak", "blue", "window", "über", "north", "lamp"]
ADDED = 120  # the index at which a field is added, and the custodian changes


class Standing(NamedTuple):
    """A record: its entry's number, index, time and hash, and its item (None: erased)."""

    number: int
    index: int
    timestamp: str
    hash: str
    item: bytes | None


def _definitions(fields: list[str], custodian: str, timestamp: str) -> list[Row]:
    made = [
        ("custodian", canonical.format({"custodian": custodian})),
        define_field("room", register="room", text="The room's number"),
        define_field("floor"),
        define_field("tags", cardinality="n"),
        define_field("opened", "datetime"),
        *([define_field("note", "text")] if "note" in fields else []),
        define_register("room", fields, text="Rooms of a house"),
    ]
    return [system(key, item, timestamp) for key, item in made]


def rows(count: int = 300) -> list[Row]:
    """The entries with their items, the same ones each time."""
    chance = random.Random(7)
    made = _definitions(["room", "floor", "tags", "opened"], "A. Keeper", "2020-01-01T00:00:00Z")
    standing: set[str] = set()
    while len(made) < count:
        day = f"2020-{len(made) // 28 + 1:02}-{len(made) % 28 // 4 + 1:02}"  # four entries a day
        if len(made) == ADDED:
            made += _definitions(["room", "floor", "tags", "opened", "note"], "B. Warden", f"{day}T12:00:00Z")
            continue
        key = chance.choice(KEYS)
        if key in standing and chance.random() < 0.2:
            standing.remove(key)
            made.append(user(key, None, f"{day}T00:00:00Z"))
            continue
        standing.add(key)
        item: dict[str, str | list[str]] = {"room": key, "floor": str(chance.randrange(4))}
        if tags := chance.sample(WORDS, chance.randrange(3)):
            item["tags"] = tags
        if len(made) > ADDED and chance.random() < 0.5:
            item["note"] = " ".join(chance.sample(WORDS, 2))
        made.append(user(key, canonical.format(item), f"{day}T00:00:00Z"))
    return made


def state(made: list[Row], size: int) -> dict[str, Standing]:
    """The records that stand at a size, by key."""
    found: dict[str, Standing] = {}
    number = 0
    for index, (entry, item) in enumerate(made[:size]):
        if entry.type != "user":
            continue
        number += 1
        if entry.item_hash is None:
            found.pop(entry.key, None)
        else:
            found[entry.key] = Standing(number, index, entry.timestamp, format_hash(entry.item_hash), item)
    return dict(sorted(found.items()))


def changes(made: list[Row], old: int, new: int) -> list[tuple[str, str, Standing | None, Standing | None]]:
    """(kind, key, before, after) of each record that is not what it was, by the index of its last entry."""
    before, after = state(made, old), state(made, new)
    last = {entry.key: index for index, (entry, _) in enumerate(made[:new]) if entry.type == "user"}
    found = []
    for key in sorted({*before, *after}, key=lambda key: last[key]):
        was, is_ = before.get(key), after.get(key)
        if (was and was.hash) != (is_ and is_.hash):
            kind = "added" if was is None else "ended" if is_ is None else "changed"
            found.append((kind, key, was, is_))
    return found


def size_at(made: list[Row], time: str) -> int:
    """The register as of a time: user entries up to it, and the system entries up to it that follow them."""
    size = max((i + 1 for i, (e, _) in enumerate(made) if e.type == "user" and e.timestamp <= time), default=0)
    while size < len(made) and made[size][0].type == "system" and made[size][0].timestamp <= time:
        size += 1
    return size
