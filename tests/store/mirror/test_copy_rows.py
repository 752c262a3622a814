"""Rows of a binary COPY: in Python, which is the oracle, and in the native twin where it is built; and taken apart."""

from __future__ import annotations

import gc
import importlib.util
import struct
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.register.entry import Entry, Row
from mintmark.store.mirror import copy_rows as installed
from tests.support.kernels import ITEM, TIME, load_twin, rows

if TYPE_CHECKING:
    from types import ModuleType

NATIVE = importlib.util.find_spec("mintmark.store.mirror._copy_rows") is not None


@pytest.fixture(
    scope="module",
    params=["python", pytest.param("native", marks=pytest.mark.skipif(not NATIVE, reason="no native kernel is built"))],
)
def copy_rows(request: pytest.FixtureRequest) -> ModuleType:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return load_twin(installed, request.param, monkeypatch)


def test_leaf_rows_are_what_postgres_reads(copy_rows: ModuleType) -> None:
    hashes = bytes(range(96))
    rows = copy_rows.leaf_rows(7, 2**40, hashes)
    unpacked = list(struct.iter_unpack(">h i i i q i 32s".replace(" ", ""), rows))
    assert unpacked == [(3, 4, 7, 8, 2**40 + i, 32, hashes[32 * i : 32 * i + 32]) for i in range(3)]
    assert copy_rows.leaf_rows(7, 0, b"") == b""
    with pytest.raises(Malformed, match="whole hashes"):
        copy_rows.leaf_rows(7, 0, bytes(31))


def fields(packed: bytes) -> list[list[bytes | None]]:
    """Binary COPY as Postgres reads it."""
    found, at = [], 0
    while at < len(packed):
        (count,) = struct.unpack_from(">h", packed, at)
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", packed, at)
            at += 4 + max(length, 0)
            row.append(None if length < 0 else packed[at - length : at])
        found.append(row)
    return found


@given(st.lists(st.tuples(rows, st.none() | st.integers(0, 2**63 - 1), st.integers(0, 2**40)), max_size=4))
def test_entry_rows_are_what_postgres_reads(copy_rows: ModuleType, given: list[tuple[Row, int | None, int]]) -> None:
    number, wanted = 5, []
    for row, by, live in given:
        entry = row.entry
        number += entry is not None and entry.type == "user"
        texts = (
            [entry.type.encode(), entry.key.encode(), entry.timestamp.encode(), entry.item_hash]
            if entry
            else [None] * 4
        )
        item = b"\1" + row.item if entry and row.item else None
        start, counts = [struct.pack(">i", 3), struct.pack(">q", row.index), row.leaf_hash], [number, live]
        end = [None if by is None else struct.pack(">q", by), *(struct.pack(">q", n) for n in counts)]
        wanted.append([*start, *texts, item, *end])
    columns = [list(column) for column in zip(*given, strict=True)] or [[], [], []]
    assert fields(copy_rows.entry_rows(3, columns[0], columns[1], 5, columns[2])) == wanted


def test_what_is_no_row_is_refused(copy_rows: ModuleType) -> None:
    row = Row(7, bytes(32), Entry("GB", TIME, "user", bytes(32)), ITEM, False)
    for bad in [None, (), row[:4], row._replace(index="0"), row._replace(leaf_hash=0), row._replace(entry=("GB",))]:
        with pytest.raises((TypeError, ValueError, AttributeError, struct.error)):
            copy_rows.entry_rows(1, [bad], [None], 0, [0])
    with pytest.raises(ValueError, match=r"zip|as many"):
        copy_rows.entry_rows(1, [row], [], 0, [0])


@given(st.lists(st.tuples(rows, st.none() | st.integers(0, 2**63 - 1), st.integers(0, 2**40)), min_size=1, max_size=4))
def test_rows_are_taken_apart_as_they_were_built(given: list[tuple[Row, int | None, int]]) -> None:
    columns = [list(column) for column in zip(*given, strict=True)]
    packed = installed.split_rows(installed.entry_rows(3, columns[0], columns[1], 5, columns[2]))
    assert len(packed) == len(given)
    for one, (row, by, live) in zip(packed, given, strict=True):
        values = installed.row_parameters(one)
        assert (values["log"], values["index"], values["superseded_by"], values["live"]) == (3, row.index, by, live)
        assert values["leaf_hash"] == row.leaf_hash
        assert values["key"] == (row.entry.key if row.entry else None)


def test_rows_of_leaves_have_nothing_else() -> None:
    (one, two) = installed.whole_leaf_rows(3, 9, bytes(range(64)))
    assert installed.row_values(two)["leaf_hash"] == bytes(range(32, 64))
    assert [name for name, value in installed.row_values(one).items() if value is not None] == [
        *("log", "index", "leaf_hash")
    ]


def test_nothing_is_kept_between_calls(copy_rows: ModuleType) -> None:
    row = Row(7, bytes(32), Entry("GB", TIME, "user", bytes(32)), ITEM, False)

    def use() -> None:
        copy_rows.entry_rows(1, [row, row._replace(item=None)], [1, None], 0, [1, 1])
        copy_rows.leaf_rows(1, 0, bytes(64))

    use()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(200):
        use()
    gc.collect()
    assert sys.getallocatedblocks() < before + 100
