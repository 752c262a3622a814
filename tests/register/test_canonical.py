from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.register import canonical

TEXT = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from('\x00\x1b\x1f"\\/u\x7f\u2028\ufeff'))
OBJECTS = st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=4), max_size=6)


def literal(value: object) -> bytes:
    """The rule as it is written, a character at a time."""
    if isinstance(value, dict):
        return b"{" + b",".join(literal(key) + b":" + literal(value[key]) for key in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(literal, value)) + b"]"
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    assert isinstance(value, str)
    return ('"' + "".join(short.get(c) or (f"\\u{ord(c):04X}" if c < " " else c) for c in value) + '"').encode()


@given(OBJECTS)
def test_format_is_the_rule_and_parse_its_inverse(value: dict[str, str | list[str]]) -> None:
    printed = canonical.format(value)
    assert printed == literal(value)
    assert canonical.parse(printed) == value
    assert canonical.normalise(json.dumps(value, indent=1).encode()) == printed


@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_arbitrary_bytes_are_canonical_or_malformed(data: bytes) -> None:
    for candidate in (data, b'{"a":"' + data + b'"}', b"{" + data + b"}"):
        try:
            value = canonical.parse(candidate)
        except Malformed:
            continue
        assert canonical.format(value) == candidate


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.floats(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_normalise_makes_canonical_bytes_or_malformed(data: bytes) -> None:
    for candidate in (data, b'{"a":' + data + b"}"):
        try:
            printed = canonical.normalise(candidate)
        except Malformed:
            continue
        assert isinstance(json.loads(printed), dict)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"a"',
        b"null",
        b'{"a":"1"',
        b'{"a":"1"}\n',
        b' {"a":"1"}',
        b'{"a": "1"}',
        b'{"b":"1","a":"2"}',
        b'{"a":"1","a":"1"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u00e9"}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\u001f"}',
        b'{"a":"\\u000A"}',
        b'{"a":"\\u007F"}',
        b'{"a":"\x1f"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":"1"}',
        b'{"a":NaN}',
        b'{"a":1.0e2}',
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"[" * 100_000,
    ],
)
def test_parse_refuses(data: bytes) -> None:
    with pytest.raises(Malformed):
        canonical.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"1","a":"1"}',
        b'{"a":{"b":"1","b":"2"}}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":"1"}',
        b"[]",
        b"{'a':'1'}",
        b'{"a":1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
    ],
)
def test_normalise_refuses(data: bytes) -> None:
    with pytest.raises(Malformed):
        canonical.normalise(data)


def test_an_escaped_backslash_is_no_escape() -> None:
    assert canonical.format({"a": "\\u001f\x1f"}) == rb'{"a":"\\u001f\u001F"}'
