from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.register.definitions import Field
from mintmark.register.links import RecordLink, UrlLink, link

TEXT = Field("name", "string", many=False)
KEY = Field("region", "string", many=False, register="region")
CURIE = Field("see", "curie", many=True)
LINKED = Field("parent", "curie", many=False, register="organisation")
URL = Field("website", "url", many=False)


@pytest.mark.parametrize(
    ("field", "value", "target"),
    [
        (TEXT, "W", None),
        (TEXT, "https://a.example", None),
        (KEY, "W", RecordLink("region", "W")),
        (KEY, "a/b", RecordLink("region", "a/b")),
        (CURIE, "country:GB", RecordLink("country", "GB")),
        (CURIE, "country:", RecordLink("country", "")),
        (CURIE, " organisation: D2", RecordLink("organisation", "D2")),
        (CURIE, "GB", None),
        (LINKED, "D2", RecordLink("organisation", "D2")),
        (LINKED, "country:GB", RecordLink("country", "GB")),
        (URL, "https://a.example/", UrlLink("https://a.example/")),
        (URL, "MAILTO:a@a.example", UrlLink("MAILTO:a@a.example")),
        (URL, "javascript:alert(1)", None),
        (URL, "data:text/html,x", None),
        (URL, "not a url", None),
    ],
)
def test_targets(field: Field, value: str, target: RecordLink | UrlLink | None) -> None:
    assert link(field, value) == target


@given(st.sampled_from([TEXT, KEY, CURIE, LINKED, URL]), st.text())
def test_no_value_fails(field: Field, value: str) -> None:
    link(field, value)
