from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Rejected
from mintmark.register.datatypes import DATATYPES, check_value, legacy_fault

VALID = {
    "string": ["a", " a ", "0", "1e3", "NO", "Ysgol Gynradd Amlwch", "’", "a\tb\nc", "\u200b", "a\ufeff"],
    "text": ["a", "# Title\n\n* *item*\t1"],
    "integer": ["0", "1", "-1", "10", "9" * 40],
    "name": ["a", "start-date", "a1", "a-"],
    "hash": ["00", "ab" * 32],
    "timestamp": ["2016-04-05T13:23:05Z", "2000-02-29T00:00:00Z", "0001-01-01T23:59:59Z"],
    "datetime": [
        "1871",
        "2017-04",
        "2017-04-21",
        "2016-02-29",
        "2017-04-21T00Z",
        "2017-04-21T23:59Z",
        "2017-04-21T23:59:59Z",
        "0001",
    ],
    "period": [
        "2017-04/2017-05",
        "2017/2017-06",
        "2017-04-21T00:00Z/2017-04-21T00:00:01Z",
        "2017/P1Y",
        "P1Y/2017",
        "P3Y9M27D",
        "PT0S",
    ],
    "duration": ["P1Y", "P1Y2M3D", "PT0S", "P1DT2H3M4S", "P0D", "P007M", "PT36H"],
    "url": [
        "https://www.gov.uk/x?y=z#a",
        "HTTP://a.example",
        "mailto:a@b.example",
        "urn:isbn:0451450523",
        "https://例え.example/ü",
    ],
    "curie": ["country:GB", "country:", "a_b-c:1/2", "statistical-geography:E07000223"],
    "point": ["[-0.1,51.5]", "[ -0.1 , 51.5 ]", "[0.0,0.0]"],
    "boolean": ["true", "false"],
    "inline": ["anything", " "],
}

INVALID = {
    "string": ["", " ", "\t\n", "\u3000", "\ufeffa"],
    "text": ["", " \n"],
    "integer": ["", "-0", "+1", "01", "1.0", "1e3", " 1", "1\n", "٣", "--1", "0x1"],
    "name": ["", "A", "1a", "-a", "a_b", "a b", "é", "a\n"],
    "hash": ["", "0", "AB", "0g", "sha-256:00", "00\n"],
    "timestamp": [
        "",
        "2016-04-05",
        "2016-04-05T13:23:05",
        "2016-04-05t13:23:05z",
        "2016-04-05 13:23:05Z",
        "2016-04-05T13:23:05.0Z",
        "2016-04-05T13:23:05+00:00",
        "2016-04-05T24:00:00Z",
        "2016-04-05T13:60:05Z",
        "2016-04-05T13:23:60Z",
        "2015-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "٢٠١٦-04-05T13:23:05Z",
        "2016-04-05T13:23:05Z\n",
    ],
    "datetime": [
        "",
        "17",
        "0000",
        "2017-13",
        "2017-00",
        "2017-1",
        "2017-04-31",
        "2017-04-00",
        "1900-02-29",
        "2017-02-29",
        "20170421",
        "2017-04-21T00:00:00",
        "2017-04-21T00",
        "2017-04-21T24Z",
        "2017-04T00Z",
        "2017Z",
        "2017-04-21Z",
        " 2017",
    ],
    "period": [
        "",
        "/",
        "2017",
        "2017/",
        "/2017",
        "2017/2017",
        "2017-06/2017",
        "2018/2017",
        "P1Y/P1Y",
        "2017/2018/2019",
        "P",
        "2017-13/2018",
        "2017-04-21T00:00:00/2018",
    ],
    "duration": ["", "P", "PT", "P1YT", "1Y", "P1W", "P1.5D", "P-1D", "P1M1Y", "PT1D", "p1y", "P1Y\n", "P٣D"],
    "url": [
        "",
        "www.gov.uk",
        "/a",
        "//a.example",
        "http:",
        "http://",
        "http:///a",
        "https:a",
        "1a:b",
        "http://a b",
        "http://a\n",
        " http://a",
        'http://a"',
        "http://<a>",
        "http://a\\b",
        ":a",
    ],
    "curie": [
        "",
        "GB",
        ":GB",
        "a:b:c",
        "A:b",
        "1:b",
        "country: GB",
        " country:GB",
        "country:G B",
        "country:GB\n",
        "-a:b",
    ],
    "point": ["", "[1,2]", "[1.0]", "1.0,2.0", "[1.,2.0]", "[1.0,2.0,3.0]", "[+1.0,2.0]", "[٣.0,2.0]", "[1.0,2.0]\n"],
    "boolean": ["", "True", "1", "yes", "true "],
    "inline": [""],
}


def test_every_datatype_has_examples() -> None:
    assert VALID.keys() == INVALID.keys() == {*DATATYPES, "inline"}


@pytest.mark.parametrize(("datatype", "value"), [(name, value) for name, values in VALID.items() for value in values])
def test_valid(datatype: str, value: str) -> None:
    check_value(datatype, value)


@pytest.mark.parametrize(("datatype", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_invalid(datatype: str, value: str) -> None:
    with pytest.raises(Rejected, match="not a valid") as caught:
        check_value(datatype, value)
    assert caught.value.rule == "datatype"


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
def test_days_exist(year: int, month: int, day: int) -> None:
    check_day(f"{year:04}-{month:02}-{day:02}")


@pytest.mark.parametrize("year", [*range(1896, 1906), *range(1996, 2006), 400, 4, 100, 9996, 9999])
def test_leap_days(year: int) -> None:
    check_day(f"{year:04}-02-29")


def check_day(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        with pytest.raises(Rejected):
            check_value("datetime", text)
    else:
        check_value("datetime", text)


@given(
    st.sampled_from(sorted(DATATYPES)), st.text() | st.text("0123456789-:/.,[]PTYMDHSZ \n", max_size=30), st.booleans()
)
def test_any_string_is_accepted_or_rejected(datatype: str, value: str, linked: bool) -> None:
    try:
        check_value(datatype, value, linked=linked)
    except Rejected:
        return
    assert value.strip()


def test_a_linked_curie_may_be_a_bare_key() -> None:
    check_value("curie", "GB", linked=True)
    check_value("curie", "country:GB", linked=True)
    for value in ("", "G B", "-GB", "a:b:c", "GB\n"):
        with pytest.raises(Rejected):
            check_value("curie", value, linked=True)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("datetime", "2017-04-21T00:00:00"),
        ("curie", "government-organisation: D2"),
        ("curie", " government-organisation:D2"),
        ("curie", "  government-organisation:  D2"),
    ],
)
def test_the_known_faults_of_old_data(datatype: str, value: str) -> None:
    with pytest.raises(Rejected):
        check_value(datatype, value)
    assert legacy_fault(datatype, value)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("datetime", "2017-02-30T00:00:00"),
        ("datetime", "2017-04-21T00:00"),
        ("datetime", "2017-04-21 00:00:00"),
        ("curie", "government-organisation: "),
        ("curie", "government-organisation:D2 "),
        ("curie", "government-organisation :D2"),
        ("curie", "a: b: c"),
        ("curie", "a:\tb"),
        ("timestamp", "2017-04-21T00:00:00"),
        ("period", "2017-04-21T00:00:00/2018"),
        ("string", ""),
        ("unknown", ""),
    ],
)
def test_no_other_faults_are_known(datatype: str, value: str) -> None:
    assert legacy_fault(datatype, value) is None
