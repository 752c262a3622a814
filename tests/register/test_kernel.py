"""Rows out of bundles: in Python, which is the oracle, and in the native twin where it is built."""

from __future__ import annotations

import gc
import importlib.util
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintmark.errors import Malformed, ProofError
from mintmark.register import canonical
from mintmark.register import kernel as installed
from mintmark.register.entry import Entry, Row, format_entry, parse_entry, v1_leaf
from mintmark.register.item import parse_item
from mintmark.tlog import bundle
from mintmark.tlog.kernel import leaf_hash, leaf_hashes
from tests.support.kernels import ITEM, TIME, load_twin, rows

if TYPE_CHECKING:
    from types import ModuleType

NATIVE = importlib.util.find_spec("mintmark.register._kernel") is not None
LEAF = format_entry(Entry("GB", TIME, "user", sha256(ITEM).digest()))


@pytest.fixture(
    scope="module",
    params=["python", pytest.param("native", marks=pytest.mark.skipif(not NATIVE, reason="no native kernel is built"))],
)
def kernel(request: pytest.FixtureRequest) -> ModuleType:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return load_twin(installed, request.param, monkeypatch)


def opened(kernel: ModuleType, leaf: bytes, item: bytes = b"", first: int = 0) -> Row:
    (row,) = kernel.open_rows(first, 0, leaf_hash(leaf), bundle.join([leaf]), bundle.join([item]))
    return row


def named(item: bytes) -> bytes:
    return format_entry(Entry("k", TIME, "user", sha256(item).digest()))


def entry_of(leaf: bytes) -> Entry | None:
    try:
        return parse_entry(leaf)
    except Malformed:
        return None


def is_item(data: bytes) -> bool:
    try:
        parse_item(data)
    except Malformed:
        return False
    return True


def test_a_row_is_its_leaf_and_the_item_beside_it(kernel: ModuleType) -> None:
    entry = Entry("GB", TIME, "user", sha256(ITEM).digest())
    assert opened(kernel, LEAF, ITEM, 7) == Row(7, leaf_hash(LEAF), entry, ITEM, False)
    assert type(opened(kernel, LEAF, ITEM).entry) is Entry
    assert opened(kernel, LEAF, ITEM).missing is False


def test_an_item_that_is_named_and_not_sent_is_missing(kernel: ModuleType) -> None:
    assert opened(kernel, LEAF).missing is True
    assert opened(kernel, LEAF).item is None
    tombstone = format_entry(Entry("GB", TIME, "user", None))
    assert opened(kernel, tombstone).missing is False


def test_a_leaf_of_another_form_is_a_row_without_an_entry(kernel: ModuleType) -> None:
    assert opened(kernel, b"any bytes") == Row(0, leaf_hash(b"any bytes"), None, None, False)


def test_an_item_that_its_entry_does_not_bind_is_refused(kernel: ModuleType) -> None:
    tombstone = format_entry(Entry("GB", TIME, "user", None))
    for leaf, item in [(LEAF, ITEM[:-1]), (tombstone, ITEM), (b"no entry", ITEM)]:
        with pytest.raises(ProofError, match="entry 7: "):
            opened(kernel, leaf, item, 7)


def test_bytes_that_are_bound_and_are_no_item_are_unreadable(kernel: ModuleType) -> None:
    row = opened(kernel, named(b"no item"), b"no item")
    assert (row.item, row.missing, row.unreadable) == (None, False, b"no item")
    assert opened(kernel, LEAF, ITEM).unreadable is None
    assert opened(kernel, LEAF).unreadable is None


def test_rows_begin_after_those_that_are_skipped(kernel: ModuleType) -> None:
    leaves = [format_entry(Entry(f"k{i}", TIME, "user", None)) for i in range(3)]
    joined, hashes = bundle.join(leaves), leaf_hashes(bundle.join(leaves))
    for skip in range(4):
        rows = kernel.open_rows(256, skip, hashes[32 * skip :], joined, bundle.join([b""] * 3))
        assert [row.index for row in rows] == list(range(256 + skip, 259))
        assert [row.leaf_hash for row in rows] == [leaf_hash(leaf) for leaf in leaves[skip:]]


@pytest.mark.parametrize(
    ("skip", "hashes", "entries", "items"),
    [
        (0, bytes(32), b"\0\1", b"\0\0"),
        (0, bytes(32), b"\0\0", b"\0"),
        (0, bytes(32), b"\0\0", b""),
        (1, b"", b"\0\0", b""),
        (0, bytes(32), b"\0\0", b"\0\0\0\0"),
        (0, bytes(64), b"\0\0", b"\0\0"),
        (0, bytes(31), b"\0\0", b"\0\0"),
        (0, b"", b"\0\0", b"\0\0"),
        (0, b"", b"", b"\0\0"),
        (2, bytes(32), b"\0\0", b"\0\0"),
    ],
)
def test_leaves_items_and_hashes_are_parallel(
    kernel: ModuleType, skip: int, hashes: bytes, entries: bytes, items: bytes
) -> None:
    with pytest.raises(Malformed):
        kernel.open_rows(0, skip, hashes, entries, items)


@given(
    st.builds(
        lambda start, key, rest: start + key + rest,
        st.sampled_from([b'{"item-hash":"sha-256:' + b"0f" * 32 + b'","key":"', b'{"key":"', b'{"key":']),
        st.binary(min_size=1, max_size=6) | st.text(min_size=1, max_size=4).map(str.encode),
        st.sampled_from([b'","timestamp":"2020-02-29T23:59:59Z","type":"system"}', b'","type":"user"}']),
    )
)
@example(b'{"key":"' + b"k" * 255 + b'","timestamp":"2016-04-05T13:23:05Z","type":"user"}')
@example(b'{"key":"' + b"k" * 256 + b'","timestamp":"2016-04-05T13:23:05Z","type":"user"}')
@example(b'{"key":"","timestamp":"2016-04-05T13:23:05Z","type":"user"}')
@example(LEAF.replace(b"user", b"usersystem"))
@example(LEAF + b" ")
def test_what_a_leaf_is_does_not_depend_on_the_kernel(kernel: ModuleType, leaf: bytes) -> None:
    assert opened(kernel, leaf).entry == entry_of(leaf)


@given(st.integers(0, len(LEAF) - 1), st.integers(0, 255))
def test_no_changed_byte_of_a_leaf_is_read_otherwise(kernel: ModuleType, at: int, byte: int) -> None:
    leaf = LEAF[:at] + bytes([byte]) + LEAF[at + 1 :]
    assert opened(kernel, leaf).entry == entry_of(leaf)


@pytest.mark.parametrize("year", ["0000", "0001", "1900", "2000", "2023", "2024", "9999"])
def test_timestamps_are_real_dates(kernel: ModuleType, year: str) -> None:
    for day in [f"{month:02}-{day:02}" for month in range(14) for day in (0, 1, 28, 29, 30, 31, 32)]:
        for time in ("00:00:00", "24:00:00", "23:60:00", "23:59:60"):
            leaf = LEAF.replace(TIME.encode(), f"{year}-{day}T{time}Z".encode())
            assert opened(kernel, leaf).entry == entry_of(leaf)


names = st.text(st.characters(codec="utf-8"), max_size=3)
items = st.dictionaries(names, names | st.lists(names, max_size=3), max_size=4).map(canonical.format)
mutated = st.builds(
    lambda data, at, byte: data[: at % (len(data) + 1)] + byte + data[at % (len(data) + 1) + 1 :],
    items,
    st.integers(0, 1000),
    st.binary(max_size=2)
    | st.sampled_from([b'"', b"\\", b"\\u", b"\\u001F", b"\\u0000", b",", b"[]", b"{", b" ", b"1"]),
)


@given(items | mutated)
@example(b"{}")
@example(b'{"":""}')
@example(b'{"a":[]}')
@example(b'{"a":"","a":""}')
@example(b'{"b":"","a":""}')
@example(b'{"a\\n":"","a\\"":"","aa":""}')
@example(b'{"a\\"":"","a\\n":""}')
@example(b'{"a":"","a\\t":""}')
@example(b'{"a":"\\u000b"}')
@example(b'{"a":"\\u000B"}')
@example(b'{"a":"\\u000A"}')
@example(b'{"a":"\\u0020"}')
@example(b'{"a":"\\u007F"}')
@example(b'{"a":"\\u0000"}')
@example(b'{"a":"\\\\u0000"}')
@example(b'{"a":"\\/"}')
@example(b'{"a":"\x7f"}')
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"a":"\xc0\xaf"}')
@example(b'{"a":"\xf4\x90\x80\x80"}')
@example(b'{"a":"\xf0\x9f\x98\x80"}')
@example(b'{"a":["",[]]}')
@example(b'{"a":1}')
@example(b'{"a":"","b":""},')
@example(b'{"a":"",}')
def test_what_an_item_is_does_not_depend_on_the_kernel(kernel: ModuleType, data: bytes) -> None:
    assert opened(kernel, named(data), data).item == (data if is_item(data) else None)


@given(st.lists(rows, max_size=5), st.integers(0, 2**62))
def test_v1_hashes_are_those_of_the_user_entries(kernel: ModuleType, rows: list[Row], number: int) -> None:
    users = [row.entry for row in rows if row.entry and row.entry.type == "user"]
    assert kernel.v1_hashes(number, rows) == b"".join(leaf_hash(v1_leaf(number + i, e)) for i, e in enumerate(users, 1))


def test_nothing_is_kept_between_calls(kernel: ModuleType) -> None:
    def use() -> None:
        rows = kernel.open_rows(0, 0, leaf_hash(LEAF) * 2, bundle.join([LEAF] * 2), bundle.join([ITEM, b""]))
        kernel.v1_hashes(0, rows)
        for leaf, item in [(LEAF, ITEM[:-1]), (b"no entry", ITEM)]:
            with pytest.raises(ProofError):
                opened(kernel, leaf, item)
        with pytest.raises(Malformed):
            kernel.open_rows(0, 0, b"", b"\0\0", b"")

    use()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(200):
        use()
    gc.collect()
    assert sys.getallocatedblocks() < before + 100
