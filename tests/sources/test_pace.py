"""A slow source is asked for less, and waited for longer; a stuck one is not."""

from __future__ import annotations

from mintmark.sources.pace import MAX_TIMES_LONGER, Pace


def test_a_fast_source_is_asked_for_all_at_once() -> None:
    pace = Pace(5)
    for seconds in (0.1, 1.0, 4.9):
        pace.came(seconds)
    assert (pace.range_end(0, 10**6), pace.seconds, pace.slow) == (10**6, 5, False)


def test_one_that_is_late_is_asked_for_less_down_to_one_entry() -> None:
    pace, ends = Pace(5), []
    for _ in range(5):
        pace.late()
        ends.append(pace.range_end(1024, 10**6))
    assert ends == [1024 + 256, 1024 + 16, 1025, 1025, 1025]
    assert (pace.seconds, pace.slow) == (5, True)


def test_what_comes_fast_doubles_it_until_all_is_asked_for() -> None:
    pace, ends = Pace(5), []
    pace.late()
    for _ in range(4):
        pace.came(0.1)
        ends.append(pace.range_end(0, 10**6))
    assert ends == [512, 1024, 2048, 10**6]
    assert not pace.slow


def test_what_comes_slower_than_usual_makes_it_less() -> None:
    pace, ends = Pace(5), []
    for _ in range(3):
        pace.came(20)
        ends.append(pace.range_end(0, 10**6))
    assert ends == [1024, 256, 256]


def test_one_that_gave_something_is_given_more_time_and_one_that_is_stuck_is_not() -> None:
    pace = Pace(5)
    for _ in range(5):
        pace.late()
    assert (pace.range_end(0, 10**6), pace.seconds) == (1, 5)
    pace.came(3)
    for expected in (10, 20, 40, 80, 120):
        pace.late()
        assert (pace.range_end(0, 10**6), pace.seconds) == (256, expected)
    assert pace.max_seconds == 5 * MAX_TIMES_LONGER == 120
    pace.came(100)
    assert (pace.range_end(0, 10**6), pace.seconds) == (256, 120)
    pace.late()
    assert (pace.range_end(0, 10**6), pace.seconds) == (256, 5)
    pace.late()
    assert (pace.range_end(0, 10**6), pace.seconds) == (16, 5)


def test_time_that_is_not_needed_is_taken_back() -> None:
    pace = Pace(5)
    pace.late()
    pace.came(3)
    pace.late()
    assert pace.seconds == 10
    for expected in (5, 5):
        pace.came(0.1)
        assert pace.seconds == expected


def test_a_range_ends_with_a_bundle_or_within_that_of_its_first_entry() -> None:
    pace = Pace(5)
    pace.late()
    assert [pace.range_end(at, 1000) for at in (0, 255, 256, 700, 900)] == [256, 256, 512, 768, 1000]
    pace.late()
    assert [pace.range_end(at, 1000) for at in (0, 250, 256, 990)] == [16, 256, 272, 1000]
