from __future__ import annotations

import random

import pytest

from mintmark.errors import Malformed, Rejected
from mintmark.register import canonical
from mintmark.register.definitions import Field, RegisterDefinition
from mintmark.register.item import Item, parse_item
from mintmark.register.schema import Schema
from tests.support.lighthouse import DEFINITIONS, FAR, FIELDS, KIN, define_field, define_register

SCHEMA = Schema.load(dict(DEFINITIONS))


def define(schema: Schema, definition: tuple[str, bytes]) -> Schema:
    key, item = definition
    return schema.define(key, parse_item(item))


def kin(**changes: str | list[str]) -> Item:
    return {**parse_item(KIN), **{name.replace("_", "-"): value for name, value in changes.items()}}


def test_what_the_definitions_say() -> None:
    assert (SCHEMA.name, SCHEMA.title, SCHEMA.custodian) == ("lighthouse", "Lighthouses", "A. Keeper")
    assert SCHEMA.register == RegisterDefinition("lighthouse", tuple(FIELDS), "Lighthouses", "harbour-office", "beta")
    assert [column.name for column in SCHEMA.columns] == FIELDS
    assert SCHEMA.fields["region"] == Field("region", "string", many=False, register="region")
    assert SCHEMA.fields["light-colours"].many


def test_the_order_of_definitions_does_not_matter_to_load() -> None:
    shuffled = random.Random(1).sample(DEFINITIONS, len(DEFINITIONS))
    assert Schema.load(dict(shuffled)) == SCHEMA


def test_an_empty_schema_has_no_columns() -> None:
    assert Schema().columns == ()
    assert Schema.load({}) == Schema()


def test_records_fit() -> None:
    assert SCHEMA.check("FAR", parse_item(FAR)) == []
    assert SCHEMA.check("KIN", parse_item(KIN)) == []
    assert SCHEMA.check("KIN", {"lighthouse": "KIN"}) == []


@pytest.mark.parametrize(
    ("item", "rule", "field"),
    [
        ({}, "key", "lighthouse"),
        ({"name": "Kinnaird"}, "key", "lighthouse"),
        (kin(lighthouse="FAR"), "key", "lighthouse"),
        (kin(lighthouse=["KIN"]), "key", "lighthouse"),
        (kin(height="21"), "field", "height"),
        ({**kin(), "_salt": "0" * 32}, "field", "_salt"),
        (kin(name=["Kinnaird"]), "cardinality", "name"),
        (kin(light_colours="white"), "cardinality", "light-colours"),
        (kin(name=""), "datatype", "name"),
        (kin(name="  "), "datatype", "name"),
        (kin(light_colours=[]), "datatype", "light-colours"),
        (kin(light_colours=["white", ""]), "datatype", "light-colours"),
        (kin(start_date="1871-02-30"), "datatype", "start-date"),
        (kin(start_date="1871-02-01T00:00:00"), "datatype", "start-date"),
    ],
)
def test_records_that_do_not_fit(item: Item, rule: str, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        SCHEMA.check("KIN", item)
    assert (caught.value.rule, caught.value.field) == (rule, field)
    assert field in str(caught.value)


def test_legacy_lets_the_known_faults_pass_and_names_them() -> None:
    added = [define_field("see", "curie", "n"), define_register("lighthouse", [*FIELDS, "see"])]
    schema = Schema.load(dict([*DEFINITIONS, *added]))
    item = kin(start_date="1871-02-01T00:00:00", see=["region: N", "region:N", " region:W"])
    warnings = schema.check("KIN", item, legacy=True)
    assert len(warnings) == 3
    assert warnings[0].startswith("start-date: a datetime without Z")
    with pytest.raises(Rejected):
        schema.check("KIN", item)
    with pytest.raises(Rejected):
        schema.check("KIN", kin(start_date="1871-02-30T00:00:00"), legacy=True)


def test_nothing_fits_an_undefined_register() -> None:
    with pytest.raises(Rejected) as caught:
        Schema().check("KIN", parse_item(KIN))
    assert caught.value.rule == "schema"


def test_a_field_is_added() -> None:
    wider = define(
        define(SCHEMA, define_field("height", "integer")), define_register("lighthouse", [*FIELDS, "height"])
    )
    assert wider.check("KIN", kin(height="21")) == []
    assert [column.name for column in wider.columns] == [*FIELDS, "height"]
    with pytest.raises(Rejected):
        SCHEMA.check("KIN", kin(height="21"))


def test_the_latest_definition_wins() -> None:
    linked = define(SCHEMA, define_field("name", register="name", text="As painted on the tower"))
    assert linked.fields["name"] == Field("name", "string", many=False, register="name", text="As painted on the tower")
    moved = define(SCHEMA, define_register("lighthouse", list(reversed(FIELDS))))
    assert [column.name for column in moved.columns] == list(reversed(FIELDS))
    assert define(SCHEMA, ("custodian", b'{"custodian":"B. Keeper"}')).custodian == "B. Keeper"


def test_a_field_not_in_use_may_change() -> None:
    schema = define(define(SCHEMA, define_field("height")), define_field("height", "integer", "n"))
    assert schema.fields["height"] == Field("height", "integer", many=True)


@pytest.mark.parametrize(
    ("definition", "redefined"),
    [
        (define_field("name", "text"), True),
        (define_field("name", cardinality="n"), True),
        (define_field("name", text="What people call it"), False),
    ],
)
def test_another_datatype_of_a_field_is_told(definition: tuple[str, bytes], redefined: bool) -> None:
    """A schema takes it: whether an entry uses the field, which forbids it, the mint knows."""
    assert SCHEMA.redefines(define(SCHEMA, definition), "name") is redefined
    assert not SCHEMA.redefines(define(SCHEMA, define_field("height")), "height")


@pytest.mark.parametrize(
    ("definition", "rule"),
    [
        (define_field("lighthouse", cardinality="n", register="lighthouse"), "schema"),
        (define_register("lighthouse", FIELDS[:-1]), "schema"),
        (define_register("lighthouse", [*FIELDS, "height"]), "schema"),
        (define_register("beacon", FIELDS), "definition"),
        (("name", b'{"name":"beacon"}'), "schema"),
        (("name", b'{"name":"Light House"}'), "definition"),
        (("custodian", b'{"custodian":" "}'), "datatype"),
        (("custodian", b'{"custodian":["A. Keeper"]}'), "definition"),
        (("custodian", b'{"keeper":"A. Keeper"}'), "definition"),
        (("custodian", b'{"custodian":"A. Keeper","since":"1871"}'), "definition"),
        (("register-name", b"{}"), "definition"),
        (("keeper", b'{"keeper":"A. Keeper"}'), "definition"),
        (("field:a", b'{"field":"a","datatype":"string"}'), "definition"),
        (("field:a", b'{"cardinality":"1","field":"a"}'), "definition"),
        (("field:a", b'{"cardinality":"1","datatype":"string"}'), "definition"),
        (define_field("a", cardinality="2"), "definition"),
        (define_field("a", datatype="String"), "definition"),
        (define_field("a", register="a b"), "definition"),
        (define_field("A"), "definition"),
        (define_field("a", text=""), "datatype"),
        (define_field("a", colour="red"), "definition"),
        (("field:a", b'{"cardinality":"1","datatype":["string"],"field":"a"}'), "definition"),
        (define_register("lighthouse", []), "definition"),
        (define_register("lighthouse", FIELDS[1:]), "definition"),
        (define_register("lighthouse", [*FIELDS, "name"]), "definition"),
        (define_register("lighthouse", FIELDS, colour="red"), "definition"),
        (("register:lighthouse", b'{"fields":"lighthouse","register":"lighthouse"}'), "definition"),
        (("register:lighthouse", b'{"fields":["lighthouse"]}'), "definition"),
        (("register:lighthouse", canonical.format({"fields": FIELDS, "register": "beacon"})), "definition"),
    ],
)
def test_refused_definitions(definition: tuple[str, bytes], rule: str) -> None:
    key, item = definition
    with pytest.raises(Rejected) as caught:
        SCHEMA.define(key, parse_item(canonical.normalise(item)))
    assert caught.value.rule == rule


def test_a_register_has_one_name() -> None:
    beacon = [define_field("beacon"), define_register("beacon", ["beacon"])]
    schema = define(define(SCHEMA, beacon[0]), ("name", b'{"name":"lighthouse"}'))
    with pytest.raises(Rejected, match="this is the register lighthouse, not beacon"):
        define(schema, beacon[1])
    with pytest.raises(Rejected, match="not beacon"):
        define(define(Schema(name="lighthouse"), beacon[0]), beacon[1])


def test_the_key_field_is_no_list() -> None:
    with pytest.raises(Rejected, match="cardinality"):
        define(define(Schema(), define_field("a", cardinality="n")), define_register("a", ["a"]))


def test_load_refuses_what_defines_nothing() -> None:
    with pytest.raises(Malformed):
        Schema.load({"name": b"lighthouse"})
    with pytest.raises(Rejected):
        Schema.load({"name": b"{}"})
