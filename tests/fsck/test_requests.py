"""The requests of a mint, laid end to end: any one wrong place is found, and only that one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mintmark.fsck.requests import StoredRequest, laid_end_to_end


def requests(counts: list[int], first: int = 0) -> list[StoredRequest]:
    rows = []
    for number, count in enumerate(counts):
        rows.append(StoredRequest(b"%d" % number, b"", first, count))
        first += count
    return rows


COUNTS = st.lists(st.integers(1, 300), min_size=1, max_size=20)


@given(COUNTS, st.integers(0, 1000))
def test_right_ones_stay_as_they_are(counts: list[int], first: int) -> None:
    rows = requests(counts, first)
    assert laid_end_to_end(reversed(rows), first + sum(counts)) == rows


@given(COUNTS, st.data())
def test_a_wrong_count_is_put_right(counts: list[int], data: st.DataObject) -> None:
    rows = requests(counts)
    at = data.draw(st.integers(0, len(rows) - 1))
    wrong = rows[at]._replace(count=rows[at].count ^ 1 << data.draw(st.integers(0, 30)))
    broken = [*rows[:at], wrong, *rows[at + 1 :]]
    found = laid_end_to_end(broken, sum(counts))
    assume(found != sorted(broken, key=lambda row: row.first))  # where another fits as well, none is changed on a guess
    assert rows == found


@given(st.lists(st.integers(1, 300), min_size=1, max_size=20, unique=True), st.data())
def test_a_wrong_first_is_put_right_or_left(counts: list[int], data: st.DataObject) -> None:
    """Where another request fits the gap as well, none is moved on a guess."""
    rows = requests(counts)
    at = data.draw(st.integers(0, len(rows) - 1))
    wrong = rows[at]._replace(first=rows[at].first ^ 1 << data.draw(st.integers(0, 40)))
    broken = [*rows[:at], wrong, *rows[at + 1 :]]
    found = laid_end_to_end(broken, sum(counts))
    assume(found != sorted(broken, key=lambda row: row.first))
    assert found == rows


@pytest.mark.parametrize("field", ["first", "count"])
def test_the_oldest_of_a_week_is_not_guessed_at(field: str) -> None:
    rows = requests([5, 7], first=100)
    rows[0] = rows[0]._replace(**{field: 1})
    assert laid_end_to_end(rows, 112) == rows


def test_a_small_request_is_not_moved_for_a_count_that_is_one_too_small() -> None:
    rows = requests([30, 1, 2, 5])
    broken = [*rows[:3], rows[3]._replace(count=4)]
    assert laid_end_to_end(broken, 38) == rows
