from __future__ import annotations

import string
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.register.entry import Entry, erased_index, format_entry, parse_entry, valid_key

KEYS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters='"\\', min_codepoint=0x20), min_size=1, max_size=60
)
TIMESTAMPS = st.datetimes(min_value=datetime(1000, 1, 1)).map(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"))
ENTRIES = st.builds(
    Entry, KEYS, TIMESTAMPS, st.sampled_from(["user", "system"]), st.none() | st.binary(min_size=32, max_size=32)
)
GB = Entry("GB", "2016-04-05T13:23:05Z", "user", bytes(32))
LEAF = format_entry(GB)


def test_the_leaf_bytes() -> None:
    members = b'"key":"GB","timestamp":"2016-04-05T13:23:05Z","type":"user"}'
    assert b'{"item-hash":"sha-256:' + b"0" * 64 + b'",' + members == LEAF
    assert format_entry(Entry("GB", GB.timestamp, "user", None)) == b"{" + members


@given(ENTRIES)
def test_parse_is_the_inverse_of_format(entry: Entry) -> None:
    assert parse_entry(format_entry(entry)) == entry


@given(ENTRIES, st.data())
def test_a_changed_byte_is_malformed_or_another_entry(entry: Entry, data: st.DataObject) -> None:
    leaf = bytearray(format_entry(entry))
    at = data.draw(st.integers(0, len(leaf) - 1))
    leaf[at] ^= data.draw(st.integers(1, 255))
    try:
        other = parse_entry(bytes(leaf))
    except Malformed:
        return
    assert other != entry
    assert format_entry(other) == leaf


@given(st.binary())
def test_arbitrary_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_entry(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"{", b" {"),
        (b"}", b"}\n"),
        (b"0" * 64, b"0" * 63),
        (b"0" * 64, b"A" * 64),
        (b"sha-256:", b"sha-512:"),
        (b'"item-hash"', b'"item"'),
        (b'"GB"', b'""'),
        (b'"GB"', b'"' + b"x" * 256 + b'"'),
        (b'"GB"', b'"\\u0000"'),
        (b'"GB"', b'"\\""'),
        (b'"GB"', b'"\xed\xa0\x80"'),
        (b'"GB"', b'"\xff"'),
        (b'"GB"', b'["GB"]'),
        (b'"GB"', b'"GB","number":"1"'),
        (b"2016-04-05", b"2016-02-30"),
        (b"13:23:05Z", b"13:23:05.1Z"),
        (b"13:23:05Z", b"13:23:05"),
        (b'"user"', b'"admin"'),
        (b'"user"', b'"USER"'),
        (b',"type":"user"', b""),
    ],
)
def test_parse_refuses(old: bytes, new: bytes) -> None:
    assert old in LEAF
    with pytest.raises(Malformed):
        parse_entry(LEAF.replace(old, new))


@pytest.mark.parametrize("key", ["GB", "a", "0", "1-2_3.4/5", "gb-eng", "E07000223", "x" * 255])
def test_user_keys(key: str) -> None:
    assert valid_key("user", key)


@pytest.mark.parametrize(
    "key", ["", "-a", "a-", "a--b", "a.-b", "a b", "a:b", "a/", "é", "٣", "a\n", "name:", "erase:1", "x" * 256]
)
def test_no_user_keys(key: str) -> None:
    assert not valid_key("user", key)


@pytest.mark.parametrize(
    "key",
    ["name", "register-name", "custodian", "field:a", "field:start-date2", "register:country", "erase:0", "erase:12"],
)
def test_system_keys(key: str) -> None:
    assert valid_key("system", key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "GB",
        "field",
        "field:",
        "field:A",
        "field:1",
        "field:a_b",
        "register:",
        "names",
        "erase:",
        "erase:01",
        "erase:-1",
        "name\n",
    ],
)
def test_no_system_keys(key: str) -> None:
    assert not valid_key("system", key)


@pytest.mark.parametrize(
    ("key", "index"), [("erase:0", 0), ("erase:1234", 1234), ("erase:", None), ("erase:01", None), ("name", None)]
)
def test_erased_index(key: str, index: int | None) -> None:
    assert erased_index(key) == index


@given(st.text(string.printable))
def test_erased_index_never_fails(key: str) -> None:
    assert erased_index("erase:" + key) in (None, int(key) if key.isdecimal() else None)
