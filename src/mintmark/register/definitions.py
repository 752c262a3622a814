"""Definitions of a register and its fields, and the links that a field's values make.

openregister specification v1, "Field", "Register" and "Linking". A definition is the item of a system entry:

field:region      {"cardinality":"1","datatype":"string","field":"region","phase":"beta","register":"region","text":"…"}
register:country  {"fields":["country","name"],"phase":"beta","register":"country","registry":"…","text":"…"}

A field with `register` holds keys of that register; a CURIE `prefix:key` names a record of the register `prefix`, and
`prefix:` the register itself; a url is its own target. A link may lead nowhere: to find a register's base URL is the
caller's task.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Rejected
from mintmark.register.datatypes import DATATYPES, NAME_PATTERN, check_value, shorten

if TYPE_CHECKING:
    from mintmark.register.item import Item

PHASES = ("discovery", "alpha", "beta", "live")  # openregister specification v1, "Register"

_NAME = re.compile(NAME_PATTERN)


class Definition(NamedTuple):
    """The latest system entry of a key: its index in the log, and its item."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a definition
    item: bytes


@dataclass(frozen=True, slots=True)
class Field:
    """A field. `many` is cardinality n: a list of values. `register` is the register that its values are keys of."""

    name: str
    datatype: str
    many: bool
    register: str | None = None
    text: str = ""
    phase: str = ""

    @classmethod
    def parse(cls, name: str, item: Item) -> Field:
        """The field that a `field:<name>` entry's item defines.

        The key names the field, whatever the item calls it: no rule ever tied them, and a published register has two
        that differ.

        Raises:
            Rejected: rule "definition".
        """
        texts = _texts(item, required=("field", "datatype", "cardinality"), optional=("register", "text", "phase"))
        if texts["cardinality"] not in ("1", "n"):
            raise Rejected("a cardinality is 1 or n", rule="definition", field="cardinality")
        for member in ("field", "datatype", "register"):
            check_name(texts.get(member, name), member)
        register, text, phase = texts.get("register"), texts.get("text", ""), texts.get("phase", "")
        return cls(name, texts["datatype"], texts["cardinality"] == "n", register, text, phase)


@dataclass(frozen=True, slots=True)
class RegisterDefinition:
    """A register, and the fields of its items in the order to show them. An empty text was left out."""

    name: str
    fields: tuple[str, ...]
    text: str = ""
    registry: str = ""
    phase: str = ""
    copyright: str = ""

    @classmethod
    def parse(cls, name: str, item: Item) -> RegisterDefinition:
        """The register that a `register:<name>` entry's item defines.

        Raises:
            Rejected: rule "definition".
        """
        fields = item.get("fields")
        if not isinstance(fields, list) or len(set(fields)) != len(fields) or name not in fields:
            raise Rejected(
                f"fields is a list of names, {name} among them, none twice", rule="definition", field="fields"
            )
        texts = _texts(
            {member: value for member, value in item.items() if member != "fields"},
            required=("register",),
            optional=("text", "registry", "phase", "copyright"),
        )
        if texts["register"] != name:
            raise Rejected(f"the item defines {shorten(texts['register'])}", rule="definition", field="register")
        optional = (texts.get(member, "") for member in ("text", "registry", "phase", "copyright"))
        return cls(name, tuple(fields), *optional)


def definition_faults(key: str, item: Item) -> list[tuple[str, str]]:
    """What no new definition may say, though published ones do, and a log may have it: (member, fault in words)."""
    kind, _, name = key.partition(":")
    if kind not in ("field", "register"):
        return []
    faults = []
    if kind == "field" and item["field"] != name:
        faults.append(("field", f"the item of {key} calls it {item['field']}"))
    if kind == "field" and item["datatype"] not in DATATYPES:
        known = ", ".join(DATATYPES)
        faults.append(("datatype", f"no datatype {shorten(str(item['datatype']))}; there are {known}"))
    if item.get("phase", PHASES[0]) not in PHASES:
        faults.append(("phase", f"no phase {shorten(str(item['phase']))}; there are {', '.join(PHASES)}"))
    return faults


def sole_text(key: str, item: Item) -> str:
    """The text of a `name`, `register-name` or `custodian` entry's item, whose one member is called like the key.

    Raises:
        Rejected: rule "definition".
    """
    return _texts(item, required=(key,), optional=())[key]


def check_name(name: str, member: str) -> None:
    """Refuses a text that cannot name a field, a register or a datatype.

    Raises:
        Rejected: rule "definition".
    """
    if not _NAME.fullmatch(name):
        raise Rejected(f"not a name: {shorten(name)}", rule="definition", field=member)


def _texts(item: Item, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, str]:
    """The members of a definition, all of them texts, the required ones present."""
    for member in required:
        if member not in item:
            raise Rejected(f"the definition has no {member}", rule="definition", field=member)
    texts = {}
    for member, value in item.items():
        if member not in required and member not in optional:
            raise Rejected(f"a definition has no member {shorten(member)}", rule="definition", field=member)
        if not isinstance(value, str):
            raise Rejected(f"{member} is one string", rule="definition", field=member)
        check_value("text", value)
        texts[member] = value
    return texts
