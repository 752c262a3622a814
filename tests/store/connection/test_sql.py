"""Statements in `.sql` files: loaded by name, without comments, and each of them is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mintmark.store.connection.sql import load_sql

STORE = Path(__file__).parents[3] / "src" / "mintmark" / "store"
FILES = sorted(file for file in STORE.rglob("*.sql") if "migrations" not in file.parts)


def names(text: str) -> set[str]:
    return set(re.findall(r"^-- name: (\w+)$", text, re.MULTILINE))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(STORE)))
def test_each_statement_is_used_and_each_that_is_used_is_there(file: Path) -> None:
    text, module = file.read_text(), file.with_suffix(".py").read_text()
    assert {name for name in names(text) if f'"{name}"' not in module and f"{{{name}}}" not in text} == set()
    assert set(re.findall(r'(?<![.\w])SQL\["(\w+)"\]', module)) <= names(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(STORE)))
def test_a_statement_is_sent_without_comments_and_end(file: Path) -> None:
    package = ".".join(("mintmark", "store", *file.parent.relative_to(STORE).parts))
    for statement in load_sql(package, file.stem, columns="e.index", stands="true", newest="1").values():
        assert statement.strip() == statement
        assert "--" not in statement
        assert ";" not in statement.replace("'erase;'", "").replace("'log;'", "")


def test_fragments_and_earlier_statements_fill_braces_and_the_rest_stays() -> None:
    found = load_sql("mintmark.store.registers", "record_pages", columns="COLUMNS", stands="STANDS")
    assert found["page"].startswith("select COLUMNS from (select * from entry e where e.log = %(log)s")
    assert "where STANDS and {match} order by {order}" in found["page"]
    found = load_sql("mintmark.store.registers", "entry_pages", columns="COLUMNS")
    assert found["indexed"].startswith(f"select {found['bare']} from entry e")
    assert "then '{}' end" in found["bare"]
