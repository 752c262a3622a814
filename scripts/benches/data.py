"""Fixed data from a seed: entries of 200 bytes, and register entries with their items."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import TYPE_CHECKING

from mintmark.register import canonical
from mintmark.register.entry import Entry, format_entry
from mintmark.tlog import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 5
SIZE = 200  # bytes in an entry
TIME = "2024-05-17T12:00:00Z"


def _field(name: str, datatype: str, cardinality: str = "1") -> tuple[str, dict[str, str | list[str]]]:
    item = {"field": name, "datatype": datatype, "cardinality": cardinality, "phase": "beta", "text": "A field."}
    return f"field:{name}", {**item}


DEFINITIONS: list[tuple[str, dict[str, str | list[str]]]] = [
    ("name", {"name": "company"}),
    _field("company", "string"),
    _field("name", "string"),
    _field("address", "string", "n"),
    _field("start-date", "datetime"),
    (
        "register:company",
        {
            "register": "company",
            "text": "Companies",
            "registry": "bench",
            "phase": "beta",
            "fields": ["company", "name", "address", "start-date"],
        },
    ),
]


def _words() -> list[str]:
    """A vocabulary of the size that names are made of."""
    made = random.Random(SEED)
    return ["".join(made.choices("aeioubcdfglmnprst", k=made.randrange(4, 10))) for _ in range(5_000)]


WORDS = _words()


def opaque(first: int, count: int) -> bytes:
    """Entries [first, first + count), joined."""
    data = random.Random(SEED * 2**40 + first).randbytes(SIZE * count)
    prefix = SIZE.to_bytes(2, "big")
    return b"".join([prefix + data[at : at + SIZE] for at in range(0, len(data), SIZE)])


def definitions() -> tuple[bytes, bytes]:
    """A register's system entries and their items, joined."""
    items = [canonical.format(item) for _, item in DEFINITIONS]
    leaves = [
        format_entry(Entry(key, TIME, "system", sha256(item).digest()))
        for (key, _), item in zip(DEFINITIONS, items, strict=True)
    ]
    return bundle.join(leaves), bundle.join(items)


def register(first: int, count: int) -> tuple[bytes, bytes]:
    """User entries and items, joined; every tenth is a new version of a record."""
    made = random.Random(SEED * 2**41 + first)
    leaves, items = [], []
    for number in range(first, first + count):
        key = f"C{number if number % 10 else number // 2:08d}"
        one, two, town = made.choices(WORDS, k=3)
        item = canonical.format(
            {
                "company": key,
                "name": f"{one.capitalize()} {two.capitalize()} Ltd",
                "address": [
                    f"{made.randrange(1, 200)} {two.capitalize()} Street",
                    f"{town.capitalize()} {number % 90}",
                ],
                "start-date": f"{made.randrange(1950, 2024)}-{made.randrange(1, 13):02d}",
            }
        )
        items.append(item)
        leaves.append(format_entry(Entry(key, TIME, "user", sha256(item).digest())))
    return bundle.join(leaves), bundle.join(items)


def batches(kind: str, count: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """All entries of a log in batches; a register's definitions are the first."""
    if kind == "register":
        yield definitions()
        count -= len(DEFINITIONS)
    for first in range(0, count, size):
        some = min(size, count - first)
        yield (opaque(first, some), b"") if kind == "opaque" else register(first, some)
