"""Decimal numbers and base64: one spelling each."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.tlog.text import MAX_NUMBER, format_base64, parse_base64, parse_decimal, parse_hash


@given(st.integers(0, MAX_NUMBER))
def test_a_number_is_read_as_it_is_printed(number: int) -> None:
    assert parse_decimal(b"%d" % number) == number


@pytest.mark.parametrize(
    "text",
    [
        b"", b"00", b"007", b"-0", b"-1", b"+5", b" 7", b"7 ", b"7\n", b"7\r", b"1_000", b"0x1", b"1e3", b"1.0",
        b"%d" % (MAX_NUMBER + 1), b"9" * 5000, "٣".encode(), "²".encode(), b"\xff",
    ],
)  # fmt: skip
def test_other_spellings_of_numbers(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_decimal(text)


@given(st.binary(max_size=30) | st.from_regex(rb"[0-9]{1,21}", fullmatch=True))
def test_any_bytes_are_a_number_or_malformed(text: bytes) -> None:
    try:
        number = parse_decimal(text)
    except Malformed:
        return
    assert b"%d" % number == text


@given(st.binary(max_size=100))
def test_base64_is_read_as_it_is_printed(data: bytes) -> None:
    assert parse_base64(format_base64(data)) == data
    assert format_base64(data) == base64.b64encode(data)


@pytest.mark.parametrize(
    "text", [b"AA", b"AA=", b"AB==", b"AAB=", b"AA==\n", b" AA==", b"A-==", b"AA==AA==", b"====", b"\xff==="]
)
def test_other_spellings_of_base64(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_base64(text)


@given(st.binary(max_size=30) | st.text("AQgw/+=\n-_", max_size=12).map(str.encode))
def test_any_bytes_are_base64_or_malformed(text: bytes) -> None:
    try:
        data = parse_base64(text)
    except Malformed:
        return
    assert format_base64(data) == text


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_hash_is_32_bytes(size: int) -> None:
    assert parse_hash(format_base64(bytes(32))) == bytes(32)
    with pytest.raises(Malformed, match=f"{size} bytes"):
        parse_hash(format_base64(bytes(size)))
