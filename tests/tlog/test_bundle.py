"""Entry bundles: joined, cut, taken from and split, and bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.tlog.bundle import MAX_ENTRY_BYTES, cut, join, split_bundle, take

entry_lists = st.lists(st.binary(max_size=20), max_size=20)


@given(entry_lists)
def test_cut_undoes_join(entries: list[bytes]) -> None:
    assert cut(join(entries)) == entries
    assert cut(join(entries), len(entries)) == entries


@given(st.binary(max_size=60) | st.lists(st.integers(0, 3)).map(bytes))
def test_any_bytes_are_a_bundle_or_malformed(data: bytes) -> None:
    try:
        assert join(cut(data)) == data
    except Malformed:
        with pytest.raises(Malformed):
            split_bundle(data, 0)


def test_the_longest_entry() -> None:
    longest = bytes(MAX_ENTRY_BYTES)
    assert cut(join([longest, b""])) == [longest, b""]
    with pytest.raises(Malformed, match="65,535"):
        join([longest + b"\0"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_entries_is_refused(count: int) -> None:
    with pytest.raises(Malformed, match=f"2 entries where {count} belong"):
        cut(join([b"a", b"b"]), count)


@given(entry_lists, st.integers(0, 20))
def test_take_is_a_prefix(entries: list[bytes], count: int) -> None:
    if count > len(entries):
        with pytest.raises(Malformed, match="belong"):
            take(join(entries), count)
    else:
        assert take(join(entries), count) == join(entries[:count])


@pytest.mark.parametrize("data", [b"\0", b"\0\2a", b"\0\1a\0"])
def test_take_from_a_truncated_bundle(data: bytes) -> None:
    with pytest.raises(Malformed):
        take(data, 2)


@pytest.mark.parametrize("first", [0, 1, 255, 256, 300, 2**62])
@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_a_batch_is_split_where_bundles_end(first: int, count: int) -> None:
    entries = [b"%d" % i for i in range(count)]
    pieces = split_bundle(join(entries), first)
    assert b"".join(data for _, data in pieces) == join(entries)
    at = first
    for index, data in pieces:
        assert index == at // 256
        at += len(cut(data))
        assert at % 256 == 0 or at == first + count
