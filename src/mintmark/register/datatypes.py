"""Field datatypes: the strings that a field may hold (openregister specification v1, "Datatypes").

A datatype is one predicate over a string, a regular expression's `fullmatch` where that is enough, because a mint
calls it for every value. Digits are ASCII, dates exist. An unknown datatype takes any string but the empty one.

Registers that were published before this was checked hold two faults: a datetime without its `Z`, and a CURIE with
blanks in it. `legacy_fault` names them, for imports of old data that ask for it; nothing else is let through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mintmark.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Predicate = Callable[[str], object]

NAME_PATTERN = r"[a-z][a-z0-9-]*"  # of a field, a register or a datatype
KEY_PATTERN = r"[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)*"  # of a record

# A day that exists, by the length of its month; 29 February in years divisible by 4, but for centuries not by 400.
_YEAR = r"(?!0000)[0-9]{4}"
_DAY = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?!0000)(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_HOUR = r"(?:[01][0-9]|2[0-3])"
_SIXTY = r"[0-5][0-9]"
TIMESTAMP_PATTERN = rf"{_DAY}T{_HOUR}:{_SIXTY}:{_SIXTY}Z"
_DATETIME = rf"(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_DAY}(?:T{_HOUR}(?::{_SIXTY}(?::{_SIXTY})?)?Z)?)"
_DURATION = (
    r"P(?=[0-9T])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?"
    r"(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?"
)
_CURIE = r"[a-z][a-z0-9_-]*:[^:\s]*"
# RFC 3986 with raw non-ASCII; the characters left out would break a link in some format that carries it.
_URL = r"(?!(?i:https?):(?!//[^/?#]))[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f<>\"{}|\\^`]+"

is_timestamp: Predicate = re.compile(TIMESTAMP_PATTERN).fullmatch

_PERIOD = re.compile(
    rf"(?P<start>{_DATETIME})/(?P<end>{_DATETIME})|(?:{_DATETIME}/)?{_DURATION}|{_DURATION}/{_DATETIME}"
)
_linked_curie: Predicate = re.compile(rf"{_CURIE}|{KEY_PATTERN}").fullmatch
_not_blank: Predicate = re.compile(r"(?!\ufeff)\s*\S").match
_not_empty: Predicate = bool


def _period(value: str) -> bool:
    match = _PERIOD.fullmatch(value)
    if not match:
        return False
    return match["start"] is None or _earliest(match["start"]) < _earliest(match["end"])


def _earliest(datetime: str) -> str:
    """The first second of a datetime of any precision, in a form that sorts."""
    return datetime.rstrip("Z") + "0000-01-01T00:00:00"[len(datetime.rstrip("Z")) :]


DATATYPES: Mapping[str, Predicate] = {
    "string": _not_blank,
    "text": _not_blank,
    "integer": re.compile(r"0|-?[1-9][0-9]*").fullmatch,
    "name": re.compile(NAME_PATTERN).fullmatch,
    "hash": re.compile(r"(?:[0-9a-f]{2})+").fullmatch,
    "timestamp": is_timestamp,
    "datetime": re.compile(_DATETIME).fullmatch,
    "period": _period,
    "duration": re.compile(_DURATION).fullmatch,
    "url": re.compile(_URL).fullmatch,
    "curie": re.compile(_CURIE).fullmatch,
    "point": re.compile(r"\[\s*-?[0-9]+\.[0-9]+\s*,\s*-?[0-9]+\.[0-9]+\s*\]", re.ASCII).fullmatch,
    "boolean": re.compile(r"true|false").fullmatch,
}

_LEGACY: Mapping[str, tuple[Predicate, str]] = {
    "datetime": (re.compile(rf"{_DAY}T{_HOUR}:{_SIXTY}:{_SIXTY}").fullmatch, "a datetime without Z"),
    "curie": (re.compile(r" *[a-z][a-z0-9_-]*: *[^:\s]+").fullmatch, "a curie with a space in it"),
}


def predicate(datatype: str, *, linked: bool = False) -> Predicate:
    """The test of one value. In a `linked` field, one with a register, a curie may be a bare key of that register."""
    if linked and datatype == "curie":
        return _linked_curie
    return DATATYPES.get(datatype, _not_empty)


def check_value(datatype: str, value: str, *, linked: bool = False) -> None:
    """Refuses a string that is not of the datatype.

    Raises:
        Rejected: rule "datatype".
    """
    if not predicate(datatype, linked=linked)(value):
        raise Rejected(f"not a valid {datatype}: {shorten(value)}", rule="datatype")


def legacy_fault(datatype: str, value: str) -> str | None:
    """The fault of an invalid value in words, if it is one of the known faults of old data; else None."""
    matches, fault = _LEGACY.get(datatype, (None, ""))
    return f"{fault}: {shorten(value)}" if matches and matches(value) else None


def shorten(value: str) -> str:
    """A value as it is quoted in a message: at most 60 characters of it."""
    return repr(value if len(value) <= 60 else value[:59] + "…")
