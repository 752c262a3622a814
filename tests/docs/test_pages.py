"""Pages are written for a clone: short lines, and nothing cited that a clone does not have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = [
    *PAGES,
    *(file for folder in ("src", "scripts", "tests", "docs") for file in (ROOT / folder).rglob("*.py")),
    *(file for file in (ROOT / "scripts").iterdir() if file.is_file() and not file.suffix),
]
MAX_COLUMNS = 120
KNOWN_LONG = {"README.md", "docs/api.md"}
# Plans and directories outside of a clone; spelt so that this file does not cite them.
OUTSIDE = re.compile(r"DE[S]IGN\b|/wo[r]k/|names[.]md")


def prose(page: Path) -> str:
    """A page without its code blocks and tables."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return "\n".join(line for line in text.splitlines() if not line.startswith(("|", "    ")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_lines_of_prose_are_short(page: Path) -> None:
    if page.relative_to(ROOT).as_posix() not in KNOWN_LONG:
        assert [line for line in prose(page).splitlines() if len(line) > MAX_COLUMNS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", prose(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_nothing_is_cited_that_a_clone_does_not_have() -> None:
    found = [f"{file.relative_to(ROOT)}: {hit}" for file in TEXTS for hit in OUTSIDE.findall(file.read_text())]
    assert found == []
