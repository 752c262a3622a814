"""A small register for tests: its definitions, two records, and what it takes to append to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.register import canonical
from mintmark.register.entry import Entry, EntryType
from mintmark.register.item import item_hash
from mintmark.register.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = "2024-03-02T10:30:00Z"
FIELDS = ["lighthouse", "name", "region", "light-colours", "start-date"]


def define_field(name: str, datatype: str = "string", cardinality: str = "1", **more: str) -> tuple[str, bytes]:
    return f"field:{name}", canonical.format({"field": name, "datatype": datatype, "cardinality": cardinality, **more})


def define_register(name: str, fields: list[str], **more: str) -> tuple[str, bytes]:
    return f"register:{name}", canonical.format({"register": name, "fields": fields, **more})


DEFINITIONS = [
    ("name", b'{"name":"lighthouse"}'),
    ("register-name", b'{"register-name":"Lighthouses"}'),
    ("custodian", b'{"custodian":"A. Keeper"}'),
    define_field("lighthouse", register="lighthouse"),
    define_field("name"),
    define_field("region", register="region"),
    define_field("light-colours", cardinality="n"),
    define_field("start-date", "datetime"),
    define_register("lighthouse", FIELDS, text="Lighthouses", registry="harbour-office", phase="beta"),
]

FAR = b'{"light-colours":["white","red"],"lighthouse":"FAR","name":"Far Point, West","region":"W","start-date":"1871"}'
KIN = b'{"light-colours":["white"],"lighthouse":"KIN","name":"Kinnaird","region":"N"}'


def entry(key: str, item: bytes | None, timestamp: str = NOW, kind: EntryType = "user") -> Entry:
    return Entry(key, timestamp, kind, None if item is None else item_hash(item))


def system(key: str, item: bytes, timestamp: str = NOW) -> tuple[Entry, bytes]:
    return entry(key, item, timestamp, "system"), item


def user(key: str, item: bytes | None, timestamp: str = NOW) -> tuple[Entry, bytes | None]:
    return entry(key, item, timestamp), item


ROWS: list[tuple[Entry, bytes]] = [
    *(system(key, item, "2024-03-01T08:00:00Z") for key, item in DEFINITIONS),
    (entry("FAR", FAR, "2024-03-01T09:00:00Z"), FAR),
    (entry("KIN", KIN, "2024-03-02T10:30:00Z"), KIN),
]


def admit_all(
    rules: Rules, rows: Iterable[tuple[Entry, bytes | None]], *, now: str = NOW, legacy: bool = False
) -> tuple[Rules, list[str]]:
    """Admit rows as a mint does, from index 0."""
    warnings = []
    for size, (leaf, item) in enumerate(rows):
        rules, more = rules.admit(leaf, item, now=now, size=size, legacy=legacy)
        warnings += more
    return rules, warnings


def rules(*, salted: bool = False) -> Rules:
    """The rules once the register is defined."""
    return Rules.load(dict(DEFINITIONS), {"system": "2024-03-01T08:00:00Z", "user": None}, salted)
