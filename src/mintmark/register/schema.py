"""The schema in force: the definitions of a register up to some size, and the check of items against them.

The latest definition of a key wins. Fields are only ever added to a register. That a field which some entry has a value
of keeps its datatype and its cardinality, so that a program for yesterday's items can read today's, is the mint's rule
(`mint/validation.py`): a schema knows no entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mintmark.errors import Rejected
from mintmark.register.datatypes import check_value, legacy_fault, predicate, shorten
from mintmark.register.definitions import Field, RegisterDefinition, check_name, sole_text
from mintmark.register.item import parse_item

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mintmark.register.item import Item

    Check = Callable[[str | list[str]], object]


@dataclass(frozen=True)
class Schema:
    """A frozen value; `define` makes the next one.

    `name`, `title` and `custodian` are the texts of the entries `name`, `register-name` and `custodian`; `fields` are
    all fields that are defined, `columns` those of the register, in its order.
    """

    name: str | None = None
    title: str | None = None
    custodian: str | None = None
    register: RegisterDefinition | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)

    @classmethod
    def load(cls, definitions: Mapping[str, bytes]) -> Schema:
        """The schema of the latest item of each system key, in any order.

        Raises:
            Malformed, Rejected: an item that is no definition, and was not admitted by these rules.
        """
        schema = cls()
        for key in sorted(definitions, key=lambda key: key.startswith("register:")):
            schema = schema.define(key, parse_item(definitions[key]))
        return schema

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """The register's fields in its order; none before it is defined."""
        return tuple(self.fields[name] for name in self.register.fields) if self.register else ()

    def define(self, key: str, item: Item) -> Schema:
        """The schema after a system entry.

        Raises:
            Rejected: rule "definition", or "schema" where it contradicts what is defined already.
        """
        kind, _, name = key.partition(":")
        match kind:
            case "field":
                return self._define_field(Field.parse(name, item))
            case "register":
                return self._define_register(RegisterDefinition.parse(name, item))
            case "name":
                return self._named(sole_text(key, item))
            case "register-name":
                return replace(self, title=sole_text(key, item))
            case "custodian":
                return replace(self, custodian=sole_text(key, item))
        raise Rejected(f"nothing is defined by {shorten(key)}", rule="definition")

    def redefines(self, after: Schema, name: str) -> bool:
        """True if a field of the register has another datatype or cardinality in the schema `after`."""
        if self.register is None or name not in self.register.fields:
            return False
        old, new = self.fields[name], after.fields[name]
        return (old.datatype, old.many) != (new.datatype, new.many)

    def check(self, key: str, item: Item, legacy: bool = False) -> list[str]:
        """Refuses an item that is not a record `key` of this register; the faults that `legacy` let pass, in words.

        Raises:
            Rejected: rule "schema", "key", "field", "cardinality" or "datatype", naming the field.
        """
        if self.register is None:
            raise Rejected("the register is not defined yet", rule="schema")
        if item.get(self.register.name) != key:
            raise Rejected(
                f"the item's {self.register.name} is not the key {shorten(key)}", rule="key", field=self.register.name
            )
        warnings: list[str] = []
        checks = self._checks
        for name, value in item.items():
            fits = checks.get(name)
            if fits is None or not fits(value):
                warnings += self._faults(name, value, legacy)  # looks again, to say why
        return warnings

    @cached_property
    def _checks(self) -> Mapping[str, Check]:
        return {column.name: _check(column) for column in self.columns}

    def _faults(self, name: str, value: str | list[str], legacy: bool) -> list[str]:
        if name not in self._checks:
            raise Rejected(f"the register has no field {shorten(name)}", rule="field", field=name)
        column = self.fields[name]
        if isinstance(value, list) != column.many:
            raise Rejected(f"{name} is {'a list' if column.many else 'one string'}", rule="cardinality", field=name)
        if not value:
            raise Rejected(f"{name} is empty: leave it out", rule="datatype", field=name)
        texts = [value] if isinstance(value, str) else value
        return [fault for text in texts for fault in _fault(column, text, legacy)]

    def _define_field(self, new: Field) -> Schema:
        if self.register is not None and new.name == self.register.name and new.many:
            raise _many_keys(new.name)
        return replace(self, fields={**self.fields, new.name: new})

    def _define_register(self, new: RegisterDefinition) -> Schema:
        self._check_identity(new.name)
        for name in new.fields:
            if name not in self.fields:
                raise Rejected(f"field {shorten(name)} is not defined yet", rule="schema", field=name)
        if self.fields[new.name].many:
            raise _many_keys(new.name)
        for name in self.register.fields if self.register else ():
            if name not in new.fields:
                raise Rejected(f"field {name} cannot be taken away", rule="schema", field=name)
        return replace(self, register=new)

    def _named(self, name: str) -> Schema:
        check_name(name, "name")
        self._check_identity(name)
        return replace(self, name=name)

    def _check_identity(self, name: str) -> None:
        known = self.register.name if self.register else self.name
        if known is not None and name != known:
            raise Rejected(f"this is the register {known}, not {name}", rule="schema")


def _many_keys(name: str) -> Rejected:
    return Rejected(f"field {name} is the key: its cardinality is 1", rule="schema", field=name)


def _check(column: Field) -> Check:
    """The column's test, made once: a mint applies it to every value."""
    valid = predicate(column.datatype, linked=column.register is not None)
    if column.many:
        return lambda value: type(value) is list and value and all(map(valid, value))
    return lambda value: type(value) is str and valid(value)


def _fault(column: Field, text: str, legacy: bool) -> list[str]:
    try:
        check_value(column.datatype, text, linked=column.register is not None)
    except Rejected as error:
        if legacy and (fault := legacy_fault(column.datatype, text)):
            return [f"{column.name}: {fault}"]
        raise Rejected(f"{column.name}: {error}", rule=error.rule, field=column.name) from None
    return []
