"""Facts of the published registers, read from their RSF files by a few lines that share no code with the project."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

SHARED = Path(__file__).parents[3] / "shared" / "registers"
UNPUBLISHED = "the published registers are not beside this checkout (../shared/registers)"
NAMES = sorted(file.stem for file in SHARED.glob("*.rsf"))

Item = dict[str, Any]


class Said(NamedTuple):
    """An entry. `number` counts those of its type from 1; `index` all, in the order of the file."""

    index: int
    number: int
    type: str
    key: str
    timestamp: str
    hash: str

    @property
    def v1(self) -> dict[str, object]:
        """As the v1 API says a user entry."""
        number = str(self.number)
        return {
            "index-entry-number": number, "entry-number": number, "entry-timestamp": self.timestamp, "key": self.key,
            "item-hash": [self.hash],
        }  # fmt: skip


class Link(NamedTuple):
    """A value that names a record: of `register`, with `key` ("": the register itself)."""

    record: str
    field: str
    value: str
    register: str
    key: str


@dataclass
class Facts:
    """One register."""

    name: str
    entries: list[Said] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)  # items, as they were hashed

    @cached_property
    def user(self) -> list[Said]:
        return [entry for entry in self.entries if entry.type == "user"]

    @cached_property
    def items(self) -> dict[str, Item]:
        return {digest: json.loads(text) for digest, text in self.raw.items()}

    @cached_property
    def definitions(self) -> dict[str, Item]:
        """The latest of each system key."""
        return {entry.key: self.items[entry.hash] for entry in self.entries if entry.type == "system"}

    @cached_property
    def latest(self) -> dict[str, Said]:
        """The latest entry of each key, by key."""
        found = {entry.key: entry for entry in self.user}
        return dict(sorted(found.items()))

    @property
    def columns(self) -> list[str]:
        return self.definitions[f"register:{self.name}"]["fields"]

    def item(self, key: str) -> Item:
        return self.items[self.latest[key].hash]

    def record(self, key: str) -> dict[str, object]:
        """As the v1 API says a record."""
        said = self.latest[key].v1
        del said["item-hash"]
        return said | {"item": [self.item(key)]}

    def links(self) -> list[Link]:
        """Every value of the latest records that names a record of some register."""
        return [
            Link(key, name, value, *target)
            for key in self.latest
            for name in self.columns
            for value in listed(self.item(key).get(name))
            if (target := self._target(self.definitions[f"field:{name}"], value)) is not None
        ]

    def _target(self, definition: Item, value: str) -> tuple[str, str] | None:
        if definition["datatype"] == "curie" and ":" in value:
            register, _, key = value.partition(":")
            return register.strip(), key.strip()
        return (definition["register"], value) if "register" in definition else None


def listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


@cache
def facts(name: str) -> Facts:
    """The facts in the file of a register."""
    found = Facts(name)
    counts = {"user": 0, "system": 0}
    for line in (SHARED / f"{name}.rsf").read_bytes().splitlines():
        command, *rest = line.decode().split("\t")
        if command == "add-item":
            found.raw["sha-256:" + sha256(rest[0].encode()).hexdigest()] = rest[0]
        elif command == "append-entry":
            type_, key, timestamp, digest = rest
            counts[type_] += 1
            found.entries.append(Said(len(found.entries), counts[type_], type_, key, timestamp, digest))
    return found
