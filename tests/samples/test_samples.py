"""The sample registers are what their facts make, pass the strict rules, and lead to each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mintmark.cli.run.up import sample_files
from mintmark.client.rsf_import import check_file
from mintmark.register.datatypes import DATATYPES
from mintmark.register.item import parse_item
from mintmark.register.links import RecordLink, link
from mintmark.register.rsf import AssertRoot, parse_rsf, write_rsf
from mintmark.register.schema import Schema
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mintmark.register.definitions import Field
    from mintmark.register.entry import Entry
    from mintmark.register.item import Item

MAKE = Path(__file__).parents[2] / "scripts" / "make-samples"
# No register of organisations is among the samples.
DANGLING = {RecordLink("organisation", "mintmark"), RecordLink("register", "organisation")}
RECORDS = {
    "airport": 44, "chemical-element": 118, "country": 255, "currency": 183, "datatype": 13, "field": 52,
    "language": 184, "olympic-games": 45, "planet": 13, "region": 31, "register": 13, "si-unit": 29, "time-zone": 65,
}  # fmt: skip


class Sample(NamedTuple):
    schemas: list[Schema]  # one after each definition of the register
    history: dict[str, list[tuple[str, Item]]]  # of each key: when, and what then

    def at(self, key: str, time: str) -> Item:
        return [item for since, item in self.history[key] if since <= time][-1]

    def now(self, key: str) -> Item:
        return self.history[key][-1][1]


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {path.stem: _read(path) for path in sample_files()}


def _read(path: Path) -> Sample:
    sample, schema = Sample([], {}), Schema()
    for entry, data, _ in check_file(path).entries:
        item = parse_item(data or b"")
        if entry.type == "user":
            sample.history.setdefault(entry.key, []).append((entry.timestamp, item))
            continue
        schema = schema.define(entry.key, item)
        if entry.key.startswith("register:"):
            sample.schemas.append(schema)
    return sample


def _values(sample: Sample) -> Iterator[tuple[Field, str]]:
    """Every value that any version of any record ever had."""
    fields = sample.schemas[-1].fields
    for versions in sample.history.values():
        for name, held in (member for _, item in versions for member in item.items()):
            yield from ((fields[name], value) for value in ([held] if isinstance(held, str) else held))


def test_the_packaged_files_are_what_the_facts_make(tmp_path: Path) -> None:
    subprocess.run([sys.executable, MAKE, tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in sample_files()}


def test_each_passes_the_strict_rules_without_a_warning() -> None:
    for path in sample_files():
        file = check_file(path)
        assert (file.name, list(file.warnings)) == (path.stem, [])


def test_each_asserts_its_root_after_every_batch_and_is_exported_with_the_last() -> None:
    for path in sample_files():
        roots = [command.root for command in parse_rsf(path.read_bytes()) if isinstance(command, AssertRoot)]
        rows: list[tuple[Entry, bytes | None]] = [(row.entry, row.item) for row in read_rsf(path.read_bytes())]
        assert len(roots) > 2
        assert list(write_rsf(rows))[-1].endswith(roots[-1].hex().encode() + b"\n")


def test_counts(samples: dict[str, Sample]) -> None:
    assert {name: len(sample.history) for name, sample in samples.items()} == RECORDS


def test_every_link_that_ever_stood_in_a_record_leads_to_a_record(samples: dict[str, Sample]) -> None:
    found = {link(*value) for sample in samples.values() for value in _values(sample)}
    links = {target for target in found if isinstance(target, RecordLink)}
    assert {target for target in links if target.key not in _keys(samples, target.register)} == DANGLING
    assert len({target.register for target in links} - {"organisation"}) == len(samples)


def _keys(samples: dict[str, Sample], register: str) -> set[str]:
    return set(samples[register].history) if register in samples else set()


def test_every_datatype_but_hash_is_in_use(samples: dict[str, Sample]) -> None:
    used = {field for sample in samples.values() for field, _ in _values(sample)}
    assert {field.datatype for field in used} == set(DATATYPES) - {"hash"}
    assert {field.many for field in used} == {False, True}


def test_the_register_of_datatypes_has_those_that_are_known_here(samples: dict[str, Sample]) -> None:
    assert set(samples["datatype"].history) == set(DATATYPES)


def test_the_catalogues_say_what_the_registers_say_of_themselves(samples: dict[str, Sample]) -> None:
    for name, sample in samples.items():
        definition = sample.schemas[-1].register
        assert definition is not None
        assert samples["register"].now(name)["fields"] == list(definition.fields)
        assert len(samples["register"].history[name]) == len(sample.schemas)
        for column in sample.schemas[-1].columns:
            assert samples["field"].now(column.name)["datatype"] == column.datatype


def test_registers_grow_new_fields_between_their_records(samples: dict[str, Sample]) -> None:
    grown = {name for name, sample in samples.items() if len(sample.schemas) > 1}
    assert {"airport", "country", "currency", "language", "planet", "time-zone"} <= grown


@pytest.mark.parametrize(
    ("register", "key", "field", "before", "time", "after"),
    [
        ("country", "SZ", "name", "Swaziland", "2018-04-19T12:00:00Z", "Eswatini"),
        ("country", "KZ", "capital", "Astana", "2019-03-23T12:00:00Z", "Nur-Sultan"),
        ("country", "KZ", "capital", "Nur-Sultan", "2022-09-17T12:00:00Z", "Astana"),
        ("country", "HR", "currencies", ["HRK"], "2023-01-01T00:00:00Z", ["EUR"]),
        ("chemical-element", "113", "name", "Ununtrium", "2016-11-28T12:00:00Z", "Nihonium"),
        ("planet", "pluto", "kind", "planet", "2006-08-24T14:00:00Z", "dwarf-planet"),
        ("olympic-games", "2020-summer", "dates", "2020-07-24/2020-08-09", "2020-03-30T12:00:00Z",
         "2021-07-23/2021-08-08"),
    ],
)  # fmt: skip
def test_history_shows_what_was_true_when(
    samples: dict[str, Sample], register: str, key: str, field: str, before: object, time: str, after: object
) -> None:
    versions = [item[field] for since, item in samples[register].history[key] if since < time and field in item]
    assert versions[-1] == before
    assert samples[register].at(key, time)[field] == after


def test_codes_of_iso_3166_are_complete_and_unlike(samples: dict[str, Sample]) -> None:
    countries = [samples["country"].now(key) for key in samples["country"].history]
    present = [country for country in countries if "end-date" not in country]
    assert len(present) == 249
    assert (
        len({country["alpha-3"] for country in present}) == len({country["numeric-code"] for country in present}) == 249
    )


def test_codes_of_iso_639_are_complete_and_unlike(samples: dict[str, Sample]) -> None:
    languages = [samples["language"].now(key) for key in samples["language"].history]
    assert len([language for language in languages if "end-date" not in language]) == 183
    assert len({language["iso-639-2"] for language in languages}) == len(languages)


def test_atomic_numbers_run_from_1_to_118(samples: dict[str, Sample]) -> None:
    assert sorted(map(int, samples["chemical-element"].history)) == list(range(1, 119))
