"""A whole deployment whose read database has been in use: a new register is followed as fast as in an empty one."""

from __future__ import annotations

import json
import tomllib
import urllib.request
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.up import up
from tests.support.used import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIELD = {"cardinality": "1", "datatype": "string", "phase": "beta", "text": "A field."}
DEFINITIONS: dict[str, dict[str, Any]] = {
    "name": {"name": "thing"},
    "field:thing": {**FIELD, "field": "thing"},
    "field:name": {**FIELD, "field": "name"},
    "register:thing": {
        "fields": ["thing", "name"],
        "phase": "beta",
        "register": "thing",
        "registry": "e2e",
        "text": "T",
    },
}
RECORDS = 3_000
ROWS_FOR_EACH = 20  # of the table, that may be read for one entry
READ = "select idx_tup_fetch + seq_tup_read from pg_stat_user_tables where relname = 'entry'"


@pytest.mark.e2e
def test_a_new_register_beside_entries_of_others(tmp_path: Path) -> None:
    directory, file = tmp_path / "up", tmp_path / "thing.rsf"
    file.write_text("".join(rsf()))
    with up(directory, "--mirrors", "1", "--no-samples"):
        read = tomllib.loads((directory / "mintmark.toml").read_text())["mirror"]["database"]
        fill(read)
        before = rows_read(read)
    with up(directory, "--mirrors", "1", "--register", file) as running:  # ready when all is mirrored
        assert running.ready["registers"]["thing"]["size"] == 2 * RECORDS + len(DEFINITIONS)
        assert rows_read(read) - before < ROWS_FOR_EACH * 2 * RECORDS
        with urllib.request.urlopen(f"{running.ready['http']}/thing/records/T7.json") as answer:
            assert b"Thing 7 1" in answer.read()


def rsf() -> Iterator[str]:
    """A register whose records all have two versions."""
    entries = [("system", key, item) for key, item in DEFINITIONS.items()]
    for version in range(2):
        entries += [("user", f"T{n}", {"name": f"Thing {n} {version}", "thing": f"T{n}"}) for n in range(RECORDS)]
    for type_, key, item in entries:
        text = json.dumps(item, sort_keys=True, separators=(",", ":"))
        yield f"add-item\t{text}\n"
        yield f"append-entry\t{type_}\t{key}\t2026-01-01T00:00:00Z\tsha-256:{sha256(text.encode()).hexdigest()}\n"


def rows_read(conninfo: str) -> int:
    with psycopg.connect(conninfo) as conn:
        row = conn.execute(READ).fetchone()
    assert row is not None
    return int(row[0] or 0)
