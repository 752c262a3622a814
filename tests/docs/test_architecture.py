"""docs/architecture.md names what is there: every file that it names exists, and every room is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.source_tree import FILES, room

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
NAMES = sorted(set(re.findall(r"`([\w./]+/[\w./]*|[\w.]+\.(?:py|md))`", PAGE)))

MOST_FILES = {"Append": 12, "Mirror step": 14, "A record": 10}


def walk(title: str) -> list[str]:
    """The files of one of the three walks, in their order."""
    section = PAGE.partition(f"### {title}\n")[2].partition("\n##")[0]
    return re.findall(r"^\| \d+ \| `([^`]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_exists(name: str) -> None:
    places = [ROOT / name, ROOT / "src" / "mintmark" / name, ROOT / "tests" / "support" / name]
    in_a_room = list((ROOT / "src" / "mintmark").glob(f"*/{name}")) if "/" not in name.rstrip("/") else []
    assert in_a_room or any(place.exists() for place in places)


def test_every_room_is_drawn() -> None:
    drawing = PAGE.partition("```text")[2].partition("```")[0]
    rooms = {room(file) for file in FILES} - {"__init__", "__main__"}
    assert {each for each in rooms if not re.search(rf"[ │]{each}(/|\.py) ", drawing)} == set()


@pytest.mark.parametrize("title", MOST_FILES)
def test_a_walk_is_short_and_enters_no_file_twice(title: str) -> None:
    files = walk(title)
    assert 0 < len(files) <= MOST_FILES[title]
    assert len(files) == len(set(files))
