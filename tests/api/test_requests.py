"""What is cached of requests is short: a client cannot fill the memory with long queries and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mintmark.api.formats import NotAcceptable
from mintmark.api.requests import MAX_CACHED_CHARS, choose_format, parse_query
from mintmark.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("json", "csv")


def cached(function: Any) -> int:
    size: int = function.cache.cache_info().currsize
    return size


def accept(length: int, end: str = "text/csv") -> str:
    """An Accept header of this length, that ends so."""
    return "x" * (length - len(end) - 1) + "," + end


@pytest.mark.parametrize(
    ("function", "make", "wanted"),
    [
        (parse_query, lambda length: (b"a=" + b"b" * (length - 2),), None),
        (choose_format, lambda length: (None, accept(length), FORMATS), "csv"),
    ],
    ids=["query", "accept"],
)
def test_what_is_short_is_cached_and_what_is_long_is_not(
    function: Callable[..., Any], make: Callable[[int], tuple[Any, ...]], wanted: object
) -> None:
    function.cache.cache_clear()  # type: ignore[attr-defined]  # other tests filled it
    before = cached(function)
    for length in (MAX_CACHED_CHARS + 1, 60_000):
        for _ in range(2):
            found = function(*make(length))
            assert found == (wanted or {"a": "b" * (length - 2)})
    assert cached(function) == before
    function(*make(MAX_CACHED_CHARS))
    assert cached(function) == before + 1


def test_an_error_is_the_same_for_short_and_long() -> None:
    for length in (MAX_CACHED_CHARS, MAX_CACHED_CHARS + 1):
        with pytest.raises(Malformed, match="given twice"):
            parse_query(b"a=1&a=" + b"2" * (length - 6))
        with pytest.raises(NotAcceptable):
            choose_format(None, accept(length, "text/xml"), FORMATS)
