"""The reducer against the plainest reading of its table, one entry at a time, however a log is cut into runs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from mintmark.register.entry import Entry, Row, format_entry, v1_extend
from mintmark.register.item import item_hash, parse_item
from mintmark.register.reduce import (
    Definition,
    ItemGaps,
    RunningCounts,
    count_standing,
    define,
    defined_key,
    erased_by,
    fold_clocks,
    fold_definitions,
    fold_erasures,
    key_of,
    project,
    stands,
)
from mintmark.register.schema import Schema
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import leaf_hash

SIZE = 400
FIELD = b'{"cardinality":"1","datatype":"string","field":"name"}'


@dataclass
class State:
    """The table in the docstring of `reduce`, word for word."""

    latest: dict[tuple[str, str], int] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    erasures: dict[int, int] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)
    v1: Edge = field(default_factory=Edge)

    def add(self, row: Row) -> None:
        if (entry := row.entry) is None:
            return
        self.latest[entry.type, entry.key] = row.index
        self.clocks[entry.type] = max(entry.timestamp, self.clocks.get(entry.type, ""))
        if entry.type == "user":
            (self.standing.add if entry.item_hash else self.standing.discard)(entry.key)
            self.v1 = v1_extend(self.v1, [entry])
        elif entry.key.startswith("erase:"):
            erased = int(entry.key.removeprefix("erase:"))
            if erased < row.index and erased not in self.erasures:
                self.erasures[erased] = row.index
        elif entry.item_hash is not None and row.item is not None:
            self.definitions[entry.key] = Definition(row.index, row.item)


def made(chance: random.Random, index: int) -> Row:
    """Any row: of few keys, so that they come again; at any time; its item there, missing, or none."""
    kind = chance.choice(["user"] * 6 + ["field", "erase", "leaf"])
    if kind == "leaf":
        return Row(index, leaf_hash(b"no entry"), None, None, False)
    item = b'{"number":"%d"}' % index
    if kind == "user":
        key, bound = str(chance.randrange(20)), chance.random() > 0.2
    else:
        key, bound = f"{kind}:{chance.randrange(SIZE) if kind == 'erase' else 'name'}", True
    time = f"2026-01-{chance.randint(1, 28):02}T00:00:00Z"
    entry = Entry(key, time, "user" if kind == "user" else "system", item_hash(item) if bound else None)
    missing = bound and chance.random() < 0.1
    return Row(index, leaf_hash(format_entry(entry)), entry, item if bound and not missing else None, missing)


@pytest.mark.parametrize("seed", range(10))
def test_every_run_of_entries_leads_to_the_same_state(seed: int) -> None:
    chance = random.Random(seed)
    rows = [made(chance, index) for index in range(SIZE)]
    cuts = [0, *sorted(chance.sample(range(1, SIZE), seed)), SIZE]
    state, counts, gaps = State(), RunningCounts(), ItemGaps()
    clocks: dict[str, str] = {}
    definitions: dict[str, Definition] = {}
    erasures: dict[int, int] = {}
    for start, end in pairwise(cuts):
        run = rows[start:end]
        before, stood = dict(state.latest), set(state.standing)
        projected = project(counts.v1, run)
        prior = {key for type_, key in projected.first_keys if type_ == "user" and key in stood}
        live = count_standing(run, prior, counts.live)
        for row, count in zip(run, live, strict=True):
            state.add(row)
            assert count == len(state.standing)
        counts = RunningCounts(live[-1], projected.v1)
        fold_clocks(clocks, run)
        fold_definitions(definitions, run)
        fold_erasures(erasures, run)
        gaps.fold(run)
        check_chain(run, before, projected.first_keys, projected.following)
        assert projected.missing == [row.index for row in run if row.missing]
        assert projected.erased == erased_in(run)
        assert (counts.live, counts.v1, counts.number) == (len(state.standing), state.v1, state.v1.size)
        assert (clocks, definitions, erasures) == (state.clocks, state.definitions, state.erasures)
        assert gaps.unexplained() == {row.index for row in rows[:end] if row.missing} - erasures.keys()


def erased_in(run: list[Row]) -> dict[int, int]:
    """The first erasure of each item in the run."""
    found: dict[int, int] = {}
    for row in run:
        if row.entry is not None and (index := erased_by(row.index, row.entry)) is not None:
            found.setdefault(index, row.index)
    return found


def check_chain(
    run: list[Row], before: dict[tuple[str, str], int], first: dict[tuple[str, str], int], following: list[int | None]
) -> None:
    """Each entry is followed by the next of its key in the run; the first of each is the one that supersedes."""
    for at, row in enumerate(run):
        later = [r.index for r in run[at + 1 :] if r.entry and row.entry and key_of(r.entry) == key_of(row.entry)]
        assert following[at] == (later[0] if later else None)
    for key, index in first.items():
        assert index == min(row.index for row in run if row.entry and key_of(row.entry) == key)
        assert index > before.get(key, -1)


def entry(type_: str, key: str, item: bytes | None = b"{}") -> Entry:
    return Entry(key, "2026-01-01T00:00:00Z", type_, item_hash(item) if item is not None else None)  # type: ignore[arg-type]


def test_an_erasure_is_of_an_earlier_entry_by_a_system_entry() -> None:
    assert erased_by(8, entry("system", "erase:7")) == 7
    assert erased_by(7, entry("system", "erase:7")) is None
    assert erased_by(8, entry("user", "erase:7")) is None
    assert erased_by(8, entry("system", "erase:07")) is None
    assert erased_by(8, entry("system", "field:name")) is None


def test_the_first_erasure_of_an_item_counts() -> None:
    erasures: dict[int, int] = {}
    for index in (3, 4):
        fold_erasures(erasures, [Row(index, b"", entry("system", "erase:1"), b"{}", False)])
    assert erasures == {1: 3}


def test_a_definition_is_a_system_entry_with_an_item_and_no_erasure() -> None:
    assert defined_key(entry("system", "field:name")) == "field:name"
    assert defined_key(entry("system", "field:name", None)) is None
    assert defined_key(entry("system", "erase:1")) is None
    assert defined_key(entry("user", "name")) is None


def test_a_definition_whose_item_is_not_here_leaves_the_one_before() -> None:
    definitions: dict[str, Definition] = {}
    kept = Row(0, b"", entry("system", "field:name", FIELD), FIELD, False)
    fold_definitions(definitions, [kept, kept._replace(index=1, item=None, missing=True)])
    assert definitions == {"field:name": Definition(0, FIELD)}


def test_a_record_and_a_definition_of_one_key_are_two() -> None:
    assert key_of(entry("user", "name")) != key_of(entry("system", "name"))
    rows = [Row(0, b"", entry("system", "name"), b"{}", False), Row(1, b"", entry("user", "name"), b"{}", False)]
    assert project(Edge(), rows).first_keys == {("system", "name"): 0, ("user", "name"): 1}
    assert count_standing(rows, set(), 0) == [0, 1]


def test_a_record_stands_until_its_tombstone_and_stands_again() -> None:
    entries = [entry("user", "a"), entry("user", "a", None), entry("user", "a", None), entry("user", "a")]
    assert [stands(each) for each in entries] == [True, False, False, True]
    rows = [Row(at, b"", each, None, False) for at, each in enumerate(entries)]
    assert count_standing(rows, set(), 5) == [6, 5, 5, 6]
    assert count_standing(rows, {"a"}, 5) == [5, 4, 4, 5]


def test_an_entry_that_defines_nothing_changes_no_schema() -> None:
    schema = define(Schema(), "field:name", parse_item(FIELD))
    assert list(schema.fields) == ["name"]
    assert define(schema, "field:name", None) is schema
    assert define(schema, "field:other", {"field": "other"}) is schema
    assert define(schema, "unheard-of", {"a": "b"}) is schema
