"""JSON Schemas of JSON responses (openregister v1, "Shapes"), for the OpenAPI document.

YAML has the same trees; JSON Lines, the elements of a list or the values of a map, one a line.
"""

from __future__ import annotations

from typing import Any

Shape = dict[str, Any]

TEXT: Shape = {"type": "string"}
COUNT: Shape = {"type": "integer", "minimum": 0}
NUMBER: Shape = {"type": "string", "pattern": "^[1-9][0-9]*$"}
HASH: Shape = {"type": "string", "pattern": "^sha-256:[0-9a-f]{64}$"}
TIME: Shape = {"type": "string", "format": "date-time"}
FLAG: Shape = {"const": True}
MERKLE: Shape = {"const": "merkle:sha-256"}


def ref(name: str) -> Shape:
    """A reference to one of `SHAPES`."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(shape: Shape) -> Shape:
    """A list."""
    return {"type": "array", "items": shape}


def map_of(shape: Shape) -> Shape:
    """An object with any names."""
    return {"type": "object", "additionalProperties": shape}


def _object(required: dict[str, Shape], optional: dict[str, Shape] | None = None, about: str = "") -> Shape:
    shape: Shape = {"type": "object", "required": list(required), "properties": required | (optional or {})}
    return shape | ({"description": about} if about else {})


def _exactly(required: dict[str, Shape], optional: dict[str, Shape] | None = None) -> Shape:
    """An object of v1, whose clients take no other members."""
    return _object(required, optional, "As openregister v1 published it.") | {"additionalProperties": False}


_V1_ENTRY = {"entry-timestamp": TIME, "key": TEXT}
_ENTRY = _V1_ENTRY | {"index": COUNT}
_ABSENCE = {"erased": FLAG, "erasure": ref("Erasure"), "unreadable": FLAG}  # why an item is not there
_ITEMS: Shape = {"type": "array", "items": {"$ref": "#/components/schemas/Item"}, "maxItems": 1}
_HASHES: Shape = {"type": "array", "items": HASH, "maxItems": 1}
_SUMMARY = {"domain": TEXT, "total-records": COUNT, "total-entries": COUNT}
_V1_PROOF = {"proof-identifier": MERKLE, "total-entries": COUNT, "root-hash": HASH}
_NUMBERS = {"index-entry-number": NUMBER, "entry-number": NUMBER}

SHAPES: dict[str, Shape] = {
    "Item": map_of({"oneOf": [TEXT, list_of(TEXT)]})
    | {"description": "Fields and their values, strings all; a list where the field's cardinality is n."},
    "Link": _object(
        {"field": TEXT, "value": TEXT},
        {"href": TEXT, "dangling": FLAG},
        "The link of a value. `href` is left out where nobody knows it; `dangling`: it leads to no record here.",
    ),
    "Erasure": _object(
        {"index": COUNT, "reason": TEXT, "authority": TEXT}, about="The entry that erased an item, and what it says."
    ),
    "Record": _object(
        _NUMBERS | _ENTRY | {"item": _ITEMS},
        _ABSENCE | {"item-bytes": TEXT, "links": list_of(ref("Link"))},
        "A record's latest entry with its item. `index` is its position in the log, from 0. An `unreadable` item is no "
        "item by the grammar of registers; its bytes are at the path `item-bytes`.",
    ),
    "Records": map_of(ref("Record")) | {"description": "Records by key."},
    "Entry": _object(
        _ENTRY | {"item-hash": _HASHES},
        _NUMBERS | {"type": {"const": "system"}} | _ABSENCE,
        "An entry; without an item's hash it ends its record. User entries are numbered from 1, system ones are not.",
    ),
    "Entries": list_of(ref("Entry")),
    "Definition": _object(
        {"register": TEXT, "fields": list_of(TEXT)},
        {"text": TEXT, "phase": TEXT, "registry": TEXT, "copyright": TEXT},
    ),
    "Field": _object(
        {"field": TEXT, "datatype": TEXT, "cardinality": {"enum": ["1", "n"]}}, {"register": TEXT, "text": TEXT}
    ),
    "Freshness": _object(
        {"state": {"enum": ["current", "behind", "unknown", "stopped"]}},
        {"lag": COUNT, "since": TIME, "reason": TEXT, "evidence": list_of(ref("Contradiction"))},
        "How fresh the log's copy is, as in the header `Mintmark-Freshness`; why, where it is stopped.",
    ),
    "Contradiction": _object({"kind": TEXT, "reason": TEXT, "at": TIME, "notes": list_of(TEXT)}),
    "Register": _object(
        _SUMMARY | {"name": TEXT, "origin": TEXT, "size": COUNT, "root": HASH, "freshness": ref("Freshness")},
        {"register-record": ref("Definition"), "custodian": TEXT, "last-updated": TIME, "register-name": TEXT,
         "fields": list_of(ref("Field")), "href": TEXT},
        "`size` counts all entries of the log and `root` is its tree's, signed; `total-entries`, user entries.",
    ),
    "Registers": list_of(ref("Register")),
    "Change": _object(
        {"key": TEXT, "change": {"enum": ["added", "changed", "ended"]}},
        {"before": ref("Record"), "after": ref("Record")},
    ),
    "Changes": list_of(ref("Change")),
    "Referrers": list_of(_object({"register": TEXT, "field": TEXT, "key": TEXT, "href": TEXT})),
    "RegisterProof": _object(
        _V1_PROOF | {"size": COUNT, "root": HASH},
        about="`root-hash` is of the v1 tree over the user entries; `root` of the log's, which is signed.",
    ),
    "EntryProof": _object({"proof-identifier": MERKLE, "entry-number": NUMBER, "merkle-audit-path": list_of(HASH)}),
    "ConsistencyProof": _object({"proof-identifier": MERKLE, "merkle-consistency-nodes": list_of(HASH)}),
    "V1Record": _exactly(_NUMBERS | _V1_ENTRY | {"item": _ITEMS}),
    "V1Records": map_of(ref("V1Record")) | {"description": "Records by key."},
    "V1Entry": _exactly(_NUMBERS | _V1_ENTRY | {"item-hash": _HASHES}),
    "V1Entries": list_of(ref("V1Entry")),
    "V1Register": _exactly(
        _SUMMARY, {"register-record": ref("Definition"), "custodian": TEXT, "last-updated": TIME}
    ),
    "V1RegisterProof": _exactly(_V1_PROOF),
    "Problem": _object(
        {"type": TEXT, "status": {"type": "integer"}, "title": TEXT, "detail": TEXT}, about="RFC 9457."
    ),
}  # fmt: skip
