"""Turtle (RDF 1.1): a block for each resource, links as IRIs, other values as literals of their fields' datatypes.

A field's IRI is its record in the register `field`, here or elsewhere; where there is none, a fragment of its own
register's IRI. A link without an address stays a string. Addresses are absolute, with the host of the request. Terms
are spelled here because rdflib's take several times as long (docs/adr/009-web-libraries.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.formats import segment
from mintmark.register.item import SALT, format_hash, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mintmark.api.models import Model, View
    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

METADATA_NAMESPACE = "https://openregister.github.io/specification/#"
PREFIXES = f"@prefix register-metadata: <{METADATA_NAMESPACE}> .\n@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'[\\"\x00-\x1f\x7f]')
_NO_IRI = re.compile(r'[\x00-\x20<>"{}|^`\\]')
_YEAR = r"-?[0-9]{4}"
_DATETIMES = (
    (re.compile(_YEAR), "gYear"),
    (re.compile(rf"{_YEAR}-[0-9]{{2}}"), "gYearMonth"),
    (re.compile(rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"), "date"),
    (re.compile(rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z?"), "dateTime"),
)
_LEXICAL = {
    "integer": (re.compile(r"0|-?[1-9][0-9]*"), "integer"),
    "boolean": (re.compile(r"true|false"), "boolean"),
    "duration": (re.compile(r"P[0-9YMDTHS]+"), "duration"),
    "hash": (re.compile(r"(?:[0-9a-f]{2})+"), "hexBinary"),
}


def render_turtle(model: Model, site_url: str) -> bytes:
    """A model as a graph; `site_url` is the scheme and host that make addresses absolute."""
    return (PREFIXES + "".join(TurtlePrinter(site_url).blocks(model))).encode()


@dataclass(frozen=True, slots=True)
class TurtlePrinter:
    """Prints blocks with the addresses of one host."""

    site_url: str

    def blocks(self, model: Model) -> Iterator[str]:
        """The blocks of a model."""
        match model:
            case models.RecordList():
                yield from (self.record(model.view, row) for row in model.rows)
                yield from self._dangling(model.view, model.dangling)
            case models.RecordDetail():
                yield self.record(model.view, model.row)
                yield from self._dangling(model.view, model.dangling)
            case models.ReferrerList():
                yield from (self._reference(model, referrer) for referrer in model.referrers)
            case models.Diff():
                yield from (self._change(model, change) for change in model.changes)
            case models.EntryList():
                yield from (self.entry(model.view, row) for row in model.rows)
            case models.EntryDetail():
                yield self.entry(model.view, model.row)
            case models.ItemDetail():
                item = f"/items/{format_hash(model.row.item_hash or b'')}"
                yield self._block(self._own(model.view, item), self.fields(model.view, model.item))
            case models.RegisterDetail():
                yield self.register(model.view)
            case models.RegisterList():
                yield from map(self.register, model.registers)
            case models.Problem():
                status = f"<http://www.w3.org/2011/http#statusCodeValue> {model.status}"
                yield f"\n[] {status} ;\n    <http://purl.org/dc/terms/title> {literal(model.title)} ;\n"
                yield f"    <http://purl.org/dc/terms/description> {literal(model.detail)} .\n"

    def record(self, view: View, row: EntryRow) -> str:
        """A record: its fields, and its latest entry."""
        pairs = [*self.fields(view, row.item), *self._entry(view, row)]
        return self._block(self._own(view, f"/records/{segment(row.key)}"), pairs)

    def entry(self, view: View, row: EntryRow) -> str:
        """An entry: its key, and its item by hash."""
        where = f"/log/entries/{row.index}" if row.number is None else f"/entries/{row.number}"
        pairs = [*self._entry(view, row), ("register-metadata:key-field", literal(row.key))]
        return self._block(self._own(view, where), pairs)

    def register(self, view: View) -> str:
        """A register: its name, its counts, and the root that was signed."""
        pairs = [
            ("<http://purl.org/dc/terms/title>", literal(view.title)),
            ("register-metadata:total-records", str(view.records)),
            ("register-metadata:total-entries", str(view.entries)),
            ("register-metadata:root-hash", literal(format_hash(view.root))),
        ]
        if view.schema.register and view.schema.register.text:
            pairs.append(("<http://purl.org/dc/terms/description>", literal(view.schema.register.text)))
        if view.schema.custodian:
            pairs.append(("register-metadata:custodian", literal(view.schema.custodian)))
        return self._block(self._own(view, "/register"), pairs)

    def fields(self, view: View, item: Item | None) -> Iterator[tuple[str, str]]:
        """A (predicate, object) for each value of an item."""
        known = view.schema.fields
        for name in item or ():
            if name != SALT:
                predicate = self._field(view, name)
                for value in values(item, name):
                    yield predicate, self._value(view, known.get(name), value)

    def _change(self, model: models.Diff, change: models.Change) -> str:
        """A changed record: the kind of change, and its fields before and after."""
        pairs = [
            ("register-metadata:record", self._own(model.view, f"/records/{segment(change.key)}")),
            ("register-metadata:change", literal(change.kind)),
        ]
        for name, view, row in (("before", model.before, change.before), ("after", model.view, change.after)):
            if row is not None:
                fields = [*self.fields(view, row.item), *self._entry(view, row)]
                pairs.append((f"register-metadata:{name}", f"[ {_joined(fields)} ]"))
        return self._block("[]", pairs)

    def _reference(self, model: models.ReferrerList, referrer: models.Referrer) -> str:
        """The triple of a record that refers to another."""
        subject = model.view.linker.record(referrer.register, referrer.key).href or ""
        record = self._own(model.view, f"/records/{segment(model.key)}")
        return self._block(self._iri(subject), [(self._field(model.view, referrer.field), record)])

    def _dangling(self, view: View, dangling: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The records that are linked to and do not exist."""
        for register, key in sorted(dangling):
            if (href := view.linker.record(register, key).href) is not None:
                yield self._block(self._iri(href), [("register-metadata:dangling", "true")])

    def _entry(self, view: View, row: EntryRow) -> Iterator[tuple[str, str]]:
        if row.number is not None:
            yield "register-metadata:entry-number-field", str(row.number)
        yield "register-metadata:entry-timestamp-field", literal(row.timestamp, "dateTime")
        if row.item_hash is not None:
            yield "register-metadata:item-resource", self._own(view, f"/items/{format_hash(row.item_hash)}")

    def _value(self, view: View, field: Field | None, value: str) -> str:
        if field is None:
            return literal(value)
        target = view.linker.target(field, value)
        if target is not None and target.href is not None:
            return self._iri(target.href)
        return literal(value, _datatype(field.datatype, value))

    def _field(self, view: View, name: str) -> str:
        href = view.linker.record("field", name).href
        return self._iri(href) if href is not None else self._own(view, f"/register#{name}")

    def _own(self, view: View, path: str) -> str:
        return self._iri(view.base + path)

    def _iri(self, href: str) -> str:
        absolute = self.site_url + href if href.startswith("/") else href
        return f"<{_NO_IRI.sub(lambda match: f'%{ord(match[0]):02X}', absolute)}>"

    def _block(self, subject: str, pairs: Iterable[tuple[str, str]]) -> str:
        body = _joined(pairs)
        return f"\n{subject}\n    {body} .\n" if body else ""


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return " ;\n    ".join(f"{predicate} {object_}" for predicate, object_ in pairs)


def literal(value: str, datatype: str | None = None) -> str:
    """A literal of an XSD datatype; a string where that is None."""
    quoted = _ESCAPED.sub(lambda match: _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04X}", value)
    return f'"{quoted}"^^xsd:{datatype}' if datatype else f'"{quoted}"'


def _datatype(datatype: str, value: str) -> str | None:
    """The XSD datatype that fits a value; old data does not always fit its field's datatype."""
    if datatype in ("datetime", "timestamp"):
        return next((name for pattern, name in _DATETIMES if pattern.fullmatch(value)), None)
    pattern, name = _LEXICAL.get(datatype, (None, None))
    return name if pattern and pattern.fullmatch(value) else None
