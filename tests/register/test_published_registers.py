"""Every published register comes in as it is, and goes out with its published root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import Rejected
from mintmark.register.entry import v1_extend
from mintmark.register.item import format_hash
from mintmark.register.links import link
from mintmark.register.rsf import AssertRoot, RsfEntry, parse_rsf, write_rsf
from mintmark.register.rules import Rules
from mintmark.register.tables import read_jsonl, write_jsonl
from mintmark.tlog.edge import Edge
from tests.support.lighthouse import admit_all
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    from pathlib import Path

NOW = "2026-01-01T00:00:00Z"
WITH_LEGACY_FAULTS = "government-service.rsf"


def pairs(rows: list[RsfEntry]) -> list[tuple[Any, bytes]]:
    return [(row.entry, row.item) for row in rows]


@pytest.fixture(scope="module")
def files(registers: Path) -> dict[str, list[RsfEntry]]:
    return {path.name: read_rsf(path.read_bytes()) for path in sorted(registers.glob("*.rsf"))}


def test_counts_and_roots(files: dict[str, list[RsfEntry]], golden: dict[str, Any]) -> None:
    assert len(files) == 24
    for name, rows in files.items():
        users = [row for row in rows if row.entry.type == "user"]
        assert len(users) == golden[name]["user_entries"]
        assert len(rows) - len(users) == golden[name]["system_entries"]
        assert len({row.item for row in rows}) == golden[name]["items"]
        assert len({row.entry.key for row in users}) == golden[name]["records"]
        assert format_hash(v1_extend(Edge(), [row.entry for row in rows]).root()) == golden[name]["root_hash_v1"]


def test_assertions_are_where_they_were_found(registers: Path, golden: dict[str, Any]) -> None:
    for name, facts in golden.items():
        commands = parse_rsf((registers / name).read_bytes())
        found = [(command.line, format_hash(command.root)) for command in commands if isinstance(command, AssertRoot)]
        assert found == [(assertion["line"], assertion["root"]) for assertion in facts["asserted"]]


def test_an_export_has_the_published_root(files: dict[str, list[RsfEntry]], golden: dict[str, Any]) -> None:
    for name, rows in files.items():
        exported = b"".join(write_rsf(pairs(rows)))
        assert exported.decode().splitlines()[-1].endswith(golden[name]["root_hash_v1"])
        again = pairs(read_rsf(exported))
        for kind in ("user", "system"):
            assert [row for row in again if row[0].type == kind] == [row for row in pairs(rows) if row[0].type == kind]


def test_all_but_two_obey_the_strict_rules(files: dict[str, list[RsfEntry]]) -> None:
    for name, rows in files.items():
        if name == "territory.rsf":
            with pytest.raises(Rejected, match="the item of field:end-date calls it start-date"):
                admit_all(Rules.load({}, {}), pairs(rows), now=NOW)
            _, warnings = admit_all(Rules.load({}, {}), pairs(rows), now=NOW, legacy=True)
            assert warnings == ["the item of field:end-date calls it start-date"]
        elif name != WITH_LEGACY_FAULTS:
            assert admit_all(Rules.load({}, {}), pairs(rows), now=NOW)[1] == []


def test_the_one_needs_legacy(files: dict[str, list[RsfEntry]]) -> None:
    rows = pairs(files[WITH_LEGACY_FAULTS])
    with pytest.raises(Rejected, match="end-date: not a valid datetime: '2017-04-21T00:00:00'"):
        admit_all(Rules.load({}, {}), rows, now=NOW)
    _, warnings = admit_all(Rules.load({}, {}), rows, now=NOW, legacy=True)
    assert len(warnings) == 6
    assert all("a datetime without Z" in warning for warning in warnings)


def test_links_resolve_as_counted(files: dict[str, list[RsfEntry]]) -> None:
    keys: dict[str, set[str]] = {}
    targets = []
    for rows in files.values():
        rules, _ = admit_all(Rules.load({}, {}), pairs(rows), now=NOW, legacy=True)
        assert rules.schema.register is not None
        latest = {row.entry.key: row.item for row in rows if row.entry.type == "user"}
        keys[rules.schema.register.name] = set(latest)
        targets += _targets(rules, list(latest.values()))
    inside = [target for target in targets if target.key in keys.get(target.register, ())]
    assert (len(inside), len(targets) - len(inside)) == (5812, 49)


def _targets(rules: Rules, items: list[bytes]) -> list[Any]:
    rows = read_jsonl(b"\n".join(items), rules.schema)
    values = [
        (rules.schema.fields[name], value)
        for row in rows
        for name, held in (row.item or {}).items()
        for value in ([held] if isinstance(held, str) else held)
    ]
    found = [link(field, value) for field, value in values]
    return [target for target in found if hasattr(target, "register")]


def test_json_lines_keep_everything(files: dict[str, list[RsfEntry]]) -> None:
    for rows in files.values():
        again = list(read_jsonl(b"".join(write_jsonl(pairs(rows)))))
        assert [(row.key, row.timestamp, row.type, row.item_hash) for row in again] == [
            (row.entry.key, row.entry.timestamp, row.entry.type, row.entry.item_hash) for row in rows
        ]
