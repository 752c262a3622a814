from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.register import canonical
from mintmark.register.item import format_hash, item_hash, parse_hash, parse_item, salt

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


def test_the_published_hash() -> None:
    item = canonical.format({"foo": "abc", "bar": "xyz"})
    assert format_hash(item_hash(item)) == "sha-256:5dd4fe3b0de91882dae86b223ca531b5c8f2335d9ee3fd0ab18dfdc2871d0c61"


@given(st.dictionaries(TEXT, TEXT | st.lists(TEXT)))
def test_parse_is_the_inverse_of_format(value: dict[str, str | list[str]]) -> None:
    assert parse_item(canonical.format(value)) == value


@given(st.binary())
def test_arbitrary_bytes_are_an_item_or_malformed(data: bytes) -> None:
    for candidate in (data, b'{"a":' + data + b"}", b'{"a":"' + data + b'"}'):
        try:
            assert canonical.format(parse_item(candidate)) == candidate
        except Malformed:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}',
        b'{"a":true}',
        b'{"a":null}',
        b'{"a":{}}',
        b'{"a":[["b"]]}',
        b'{"a":["b",1]}',
        rb'{"a":"\u0000"}',
        rb'{"a":"\\\u0000"}',
        rb'{"\u0000":"a"}',
        b'{"a":"' + b"x" * 65_535 + b'"}',
    ],
)
def test_parse_refuses(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_item(data)


def test_a_backslash_before_u0000_is_text() -> None:
    assert parse_item(rb'{"a":"\\u0000"}') == {"a": "\\u0000"}


def test_the_largest_item_fits() -> None:
    assert parse_item(b'{"a":"' + b"x" * (65_535 - 8) + b'"}')


@given(st.binary(min_size=32, max_size=32))
def test_hashes_round_trip(digest: bytes) -> None:
    assert parse_hash(format_hash(digest)) == digest


@pytest.mark.parametrize(
    "text", ["", "sha-256:", "a" * 64, "sha256:" + "a" * 64, "sha-256:" + "A" * 64, "sha-256:" + "a" * 63 + "\n"]
)
def test_parse_hash_refuses(text: str) -> None:
    with pytest.raises(Malformed):
        parse_hash(text)


def test_salt_adds_128_random_bits() -> None:
    item = {"a": "b"}
    salted = salt(item)
    assert item == {"a": "b"}
    assert re.fullmatch("[0-9a-f]{32}", str(salted.pop("_salt")))
    assert salted == item
    assert salt(item) != salt(item)
