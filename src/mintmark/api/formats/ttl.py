"""Turtle (RDF 1.1): a resource a block, links as IRIs, other values as literals typed by their fields' datatypes.

A field's IRI is its record in the register `field`, here or elsewhere; where there is none, a fragment of the
register's own. Links that dangle for want of an address stay strings. Relative addresses are made absolute:
`Printer` knows the host that was asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.linking import segment, values
from mintmark.register.item import SALT, format_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mintmark.api.models import Answer, View
    from mintmark.register.definitions import Field
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

META = "https://openregister.github.io/specification/#"
PREFIXES = f"@prefix register-metadata: <{META}> .\n@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"

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


def render(answer: Answer, root: str) -> bytes:
    """The answer's graph; `root` is the scheme and host that were asked, which make addresses absolute."""
    return (PREFIXES + "".join(Printer(root).blocks(answer))).encode()


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints blocks for one host."""

    root: str

    def blocks(self, answer: Answer) -> Iterator[str]:
        """The blocks of an answer."""
        match answer:
            case models.Records():
                yield from (self.record(answer.view, row) for row in answer.rows)
                yield from self._dangling(answer.view, answer.dangling)
            case models.Record():
                yield self.record(answer.view, answer.row)
                yield from self._dangling(answer.view, answer.dangling)
            case models.Referrers():
                yield from (self._reference(answer, referrer) for referrer in answer.referrers)
            case models.Diff():
                yield from (self._change(answer, change) for change in answer.changes)
            case models.Entries():
                yield from (self.entry(answer.view, row) for row in answer.rows)
            case models.EntryAnswer():
                yield self.entry(answer.view, answer.row)
            case models.ItemAnswer():
                item = f"/items/{format_hash(answer.row.item_hash or b'')}"
                yield self._block(self._own(answer.view, item), self.fields(answer.view, answer.item))
            case models.RegisterHome():
                yield self.register(answer.view)
            case models.RegisterList():
                yield from map(self.register, answer.registers)
            case models.Problem():
                status = f"<http://www.w3.org/2011/http#statusCodeValue> {answer.status}"
                yield f"\n[] {status} ;\n    <http://purl.org/dc/terms/title> {literal(answer.title)} ;\n"
                yield f"    <http://purl.org/dc/terms/description> {literal(answer.detail)} .\n"

    def record(self, view: View, row: EntryRow) -> str:
        """A record: its fields, and which entry they are of."""
        pairs = [*self.fields(view, row.item), *self._entry(view, row)]
        return self._block(self._own(view, f"/records/{segment(row.key)}"), pairs)

    def entry(self, view: View, row: EntryRow) -> str:
        """An entry: its key, and its item by hash."""
        where = f"/log/entries/{row.index}" if row.number is None else f"/entries/{row.number}"
        pairs = [*self._entry(view, row), ("register-metadata:key-field", literal(row.key))]
        return self._block(self._own(view, where), pairs)

    def register(self, view: View) -> str:
        """A register: its name, counts, and what was signed."""
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
        """A pair a value."""
        known = view.schema.fields
        for name in item or ():
            if name != SALT:
                predicate = self._field(view, name)
                for value in values(item, name):
                    yield predicate, self._value(view, known.get(name), value)

    def _change(self, answer: models.Diff, change: models.Change) -> str:
        """What happened to a record, with its fields before and after."""
        pairs = [
            ("register-metadata:record", self._own(answer.view, f"/records/{segment(change.key)}")),
            ("register-metadata:change", literal(change.kind)),
        ]
        for name, view, row in (("before", answer.before, change.before), ("after", answer.view, change.after)):
            if row is not None:
                fields = [*self.fields(view, row.item), *self._entry(view, row)]
                pairs.append((f"register-metadata:{name}", f"[ {_joined(fields)} ]"))
        return self._block("[]", pairs)

    def _reference(self, answer: models.Referrers, referrer: models.Referrer) -> str:
        """The triple of the record that refers."""
        subject = answer.view.linker.record(referrer.register, referrer.key).href or ""
        record = self._own(answer.view, f"/records/{segment(answer.key)}")
        return self._block(self._iri(subject), [(self._field(answer.view, referrer.field), record)])

    def _dangling(self, view: View, dangling: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The records that are linked to and not there."""
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
        absolute = self.root + href if href.startswith("/") else href
        return f"<{_NO_IRI.sub(lambda match: f'%{ord(match[0]):02X}', absolute)}>"

    def _block(self, subject: str, pairs: Iterable[tuple[str, str]]) -> str:
        body = _joined(pairs)
        return f"\n{subject}\n    {body} .\n" if body else ""


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return " ;\n    ".join(f"{predicate} {object_}" for predicate, object_ in pairs)


def literal(value: str, datatype: str | None = None) -> str:
    """A literal of an XSD datatype; None: a string."""
    quoted = _ESCAPED.sub(lambda match: _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04X}", value)
    return f'"{quoted}"^^xsd:{datatype}' if datatype else f'"{quoted}"'


def _datatype(datatype: str, value: str) -> str | None:
    """The XSD datatype that a value has in truth; old data is not always what its field says."""
    if datatype in ("datetime", "timestamp"):
        return next((name for pattern, name in _DATETIMES if pattern.fullmatch(value)), None)
    pattern, name = _LEXICAL.get(datatype, (None, None))
    return name if pattern and pattern.fullmatch(value) else None
