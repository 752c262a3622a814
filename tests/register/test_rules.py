from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Rejected
from mintmark.register import canonical
from mintmark.register.entry import Entry, EntryType
from mintmark.register.item import item_hash, parse_item, salt
from mintmark.register.rules import Rules
from tests.support.lighthouse import (
    DEFINITIONS,
    FAR,
    FIELDS,
    KIN,
    NOW,
    ROWS,
    admit_all,
    define_field,
    define_register,
    entry,
    rules,
    system,
    user,
)

EMPTY = Rules.load({}, {})


def refusal(state: Rules, leaf: Entry, item: bytes | None, *, size: int = 20, legacy: bool = False) -> Rejected:
    with pytest.raises(Rejected) as caught:
        state.admit(leaf, item, now=NOW, size=size, legacy=legacy)
    return caught.value


def test_a_register_is_built_from_nothing() -> None:
    after, warnings = admit_all(EMPTY, ROWS)
    assert warnings == []
    assert after.definitions == dict(DEFINITIONS)
    assert after.clocks == {"system": "2024-03-01T08:00:00Z", "user": "2024-03-02T10:30:00Z"}
    assert after.definitions_since(EMPTY) == {key: (at, item) for at, (key, item) in enumerate(DEFINITIONS)}
    assert after.clocks_since(EMPTY) == after.clocks
    assert Rules.load(after.definitions, after.clocks, positions=after.positions) == after


def test_rules_are_a_value() -> None:
    before = rules()
    before.admit(*system("custodian", b'{"custodian":"B. Keeper"}'), now=NOW, size=9)
    assert before == rules()
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.salted = True  # type: ignore[misc]


def test_the_definitions_and_clocks_of_a_batch() -> None:
    before = rules()
    batch = [system(*define_field("height")), user("KIN", KIN), system("name", b'{"name":"lighthouse"}')]
    after, _ = admit_all(before, batch)
    name, height = define_field("height")
    assert after.definitions_since(before) == {name: (0, height), "name": (2, b'{"name":"lighthouse"}')}
    assert after.clocks_since(before) == {"system": NOW, "user": NOW}


def test_definitions_count_from_their_own_position() -> None:
    taller = canonical.format({**parse_item(KIN), "height": "21"})
    added = [system(*define_field("height", "integer")), system(*define_register("lighthouse", [*FIELDS, "height"]))]
    admit_all(rules(), [user("KIN", KIN), *added, user("KIN", taller)])
    with pytest.raises(Rejected, match="no field 'height'"):
        admit_all(rules(), [user("KIN", taller), *added])


def test_a_record_ends_and_begins_again() -> None:
    admit_all(rules(), [user("KIN", KIN), user("KIN", None), user("KIN", KIN), user("KIN", KIN)])


def test_a_system_entry_is_no_tombstone() -> None:
    assert refusal(rules(), entry("custodian", None, kind="system"), None).rule == "tombstone"


def test_an_item_hash_needs_its_item() -> None:
    assert refusal(rules(), entry("KIN", KIN), None).rule == "item-hash"
    assert refusal(rules(), entry("KIN", KIN), FAR).rule == "item-hash"
    assert refusal(rules(), entry("KIN", None), KIN).rule == "item-hash"


@pytest.mark.parametrize("item", [b"", b"{}\n", b'{"a": "b"}', b'{"lighthouse":1}', b"\xff", rb'{"a":"\u0000"}'])
def test_items_are_canonical(item: bytes) -> None:
    assert refusal(rules(), entry("KIN", item), item).rule == "canonical"


def test_records_need_the_register_defined() -> None:
    assert refusal(EMPTY, entry("KIN", KIN), KIN).rule == "schema"


@pytest.mark.parametrize("key", ["", "KIN-", "K  N", "custodian:", "x" * 256])
def test_user_keys(key: str) -> None:
    item = canonical.format({"lighthouse": key})
    assert refusal(rules(), entry(key, item), item).rule == "key"
    assert refusal(rules(), entry(key, None), None).rule == "key"


@pytest.mark.parametrize("key", ["", "keeper", "field:", "field:Name", "erase:x", "KIN"])
def test_system_keys(key: str) -> None:
    item = canonical.format({"keeper": "A. Keeper"})
    assert refusal(rules(), *system(key, item)).rule == "key"


def test_the_key_is_the_field_named_like_the_register() -> None:
    refused = refusal(rules(), entry("FAR", KIN), KIN)
    assert (refused.rule, refused.field) == ("key", "lighthouse")


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "2024-03-02",
        "2024-02-30T00:00:00Z",
        "2024-03-02T10:30:00",
        "2024-03-02T10:29:00.5Z",
        "٢024-03-02T10:29:00Z",
    ],
)
def test_timestamps(timestamp: str) -> None:
    for state in (EMPTY, rules()):
        assert refusal(state, entry("KIN", KIN, timestamp), KIN).rule == "timestamp"


def test_user_timestamps_do_not_run_backwards() -> None:
    state, _ = rules().admit(*user("KIN", KIN), now=NOW, size=9)
    assert refusal(state, *user("FAR", FAR, "2024-03-02T10:29:59Z")).rule == "timestamp"
    assert refusal(state, *user("FAR", FAR, "2024-03-02T10:29:59Z"), legacy=True).rule == "timestamp"
    state.admit(*user("FAR", FAR), now=NOW, size=10)


def test_definitions_may_be_older_than_the_register() -> None:
    state, _ = rules().admit(*user("KIN", KIN), now=NOW, size=9)
    after, _ = state.admit(*system(*define_field("height"), "2016-01-01T00:00:00Z"), now=NOW, size=10)
    assert after.clocks == state.clocks


def test_a_minute_of_slack() -> None:
    rules().admit(*user("KIN", KIN, "2024-03-02T10:31:00Z"), now=NOW, size=9)
    assert refusal(rules(), *user("KIN", KIN, "2024-03-02T10:31:01Z")).rule == "timestamp"
    assert refusal(rules(), *system("custodian", b'{"custodian":"B"}', "2024-03-02T10:31:01Z")).rule == "timestamp"


def test_a_clock_set_back_does_not_stop_the_log() -> None:
    state, _ = rules().admit(*user("KIN", KIN), now=NOW, size=9)
    state.admit(*user("KIN", KIN), now="2024-03-02T09:30:00Z", size=10)


COURT = b'{"authority":"The court","reason":"Personal data"}'


def erasure(index: int | str, item: bytes = COURT) -> tuple[Entry, bytes]:
    return system(f"erase:{index}", item)


def test_an_erasure_names_an_earlier_entry() -> None:
    state = rules()
    after, _ = state.admit(*erasure(19), now=NOW, size=20)
    assert after.definitions == state.definitions
    for index in (20, 21, 10**18, 10**19 - 1):
        assert refusal(state, *erasure(index)).rule == "erasure"
    for index in ("", "-1", "01", "1.0", 10**19):
        assert refusal(state, *erasure(index)).rule == "key"


@pytest.mark.parametrize(
    "item",
    [
        b"{}",
        b'{"authority":"The court"}',
        b'{"reason":"Personal data"}',
        b'{"authority":["The court"],"reason":"Personal data"}',
        b'{"authority":"The court","index":"1","reason":"Personal data"}',
    ],
)
def test_an_erasure_gives_authority_and_reason(item: bytes) -> None:
    assert refusal(rules(), *erasure(1, item)).rule == "erasure"


def test_an_erasure_is_not_blank() -> None:
    assert refusal(rules(), *erasure(1, b'{"authority":" ","reason":"x"}')).rule == "datatype"


def test_salted_records_carry_their_salt() -> None:
    salted = rules(salted=True)
    item = canonical.format(salt(parse_item(KIN)))
    salted.admit(*user("KIN", item), now=NOW, size=9)
    salted.admit(*user("KIN", None), now=NOW, size=9)
    salted.admit(*system("custodian", b'{"custodian":"B. Keeper"}'), now=NOW, size=9)
    assert refusal(rules(), *user("KIN", item)).field == "_salt"


@pytest.mark.parametrize("value", [None, "", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "\n", ["0" * 32]])
def test_salts(value: str | list[str] | None) -> None:
    item = canonical.format({**parse_item(KIN), **({} if value is None else {"_salt": value})})
    assert refusal(rules(salted=True), *user("KIN", item)).rule == "salt"


def test_legacy_warns_of_the_known_faults() -> None:
    item = canonical.format({**parse_item(KIN), "start-date": "1871-01-01T00:00:00"})
    assert refusal(rules(), *user("KIN", item)).rule == "datatype"
    _, warnings = rules().admit(*user("KIN", item), now=NOW, size=9, legacy=True)
    assert warnings == ["start-date: a datetime without Z: '1871-01-01T00:00:00'"]


def test_a_misnamed_field_is_what_its_key_says() -> None:
    _, item = define_field("name")
    assert refusal(rules(), *system("field:title", item)).rule == "definition"
    after, warnings = rules().admit(*system("field:title", item), now=NOW, size=9, legacy=True)
    assert after.schema.fields["title"].name == "title"
    assert warnings == ["the item of field:title calls it name"]


@pytest.mark.parametrize(
    ("definition", "field", "said"),
    [
        (define_field("height", "interger"), "datatype", "no datatype 'interger'; there are string, text, integer"),
        (define_field("height", phase="gamma"), "phase", "no phase 'gamma'; there are discovery, alpha, beta, live"),
        (define_register("lighthouse", FIELDS, phase="Beta"), "phase", "no phase 'Beta'"),
    ],
)
def test_a_new_definition_is_of_known_words(definition: tuple[str, bytes], field: str, said: str) -> None:
    refused = refusal(rules(), *system(*definition))
    assert (refused.rule, refused.field, said in str(refused)) == ("definition", field, True)
    _, (warning,) = rules().admit(*system(*definition), now=NOW, size=9, legacy=True)
    assert said in warning
    stored = Rules.load({**dict(DEFINITIONS), definition[0]: definition[1]}, {})  # of a log that has it already
    stored.admit(*user("KIN", KIN), now=NOW, size=9)


def test_every_phase_is_admitted() -> None:
    for phase in ("discovery", "alpha", "beta", "live"):
        rules().admit(*system(*define_field("height", "integer", phase=phase)), now=NOW, size=9)


def test_the_key_stays_one_value() -> None:
    refused = refusal(rules(), *system(*define_field("lighthouse", cardinality="n", register="lighthouse")))
    assert (refused.rule, "cardinality is 1" in str(refused)) == ("schema", True)


@given(
    key=st.text(max_size=20),
    timestamp=st.text(max_size=20) | st.just(NOW),
    kind=st.sampled_from(["user", "system"]),
    item=st.none() | st.binary(max_size=40),
    salted=st.booleans(),
)
def test_anything_is_admitted_or_rejected(
    key: str, timestamp: str, kind: EntryType, item: bytes | None, salted: bool
) -> None:
    leaf = Entry(key, timestamp, kind, None if item is None else item_hash(item))
    with contextlib.suppress(Rejected):
        rules(salted=salted).admit(leaf, item, now=NOW, size=3)
