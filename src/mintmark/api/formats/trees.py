"""Answers as trees of objects, lists and strings, which JSON, YAML and JSON Lines print (openregister v1, "Shapes").

Members that v1 has are exactly as it had them: entry numbers are strings, `item` and `item-hash` lists. What is more is
ours: `index` (the position in the log, from 0), `links`, `size` and `root`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mintmark.api import models
from mintmark.api.linking import values
from mintmark.register.item import SALT, format_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mintmark.api.models import Answer, View
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

    Tree = dict[str, Any]
    Dangling = Collection[tuple[str, str]]

MERKLE = "merkle:sha-256"


def tree(answer: Answer) -> Any:
    """The whole answer."""
    return _TREES[type(answer)](answer)


def lines(answer: Answer) -> list[Tree]:
    """The answer as one tree a row, for JSON Lines."""
    match answer:
        case models.Records():
            return [record(answer.view, row, answer.dangling) for row in answer.rows]
        case models.Record():
            return [record(answer.view, answer.row, answer.dangling)]
    whole = tree(answer)
    return whole if isinstance(whole, list) else [whole]


def record(view: View, row: EntryRow, dangling: Dangling = ()) -> Tree:
    """A record: its latest entry, with the item."""
    number = str(row.number)
    found: Tree = {
        "index-entry-number": number,
        "entry-number": number,
        "entry-timestamp": row.timestamp,
        "key": row.key,
        "item": [] if row.item is None else [_unsalted(row.item)],
        "index": row.index,
    }
    if row.erased:
        found["erased"] = True
    if found_links := links(view, row.item, dangling):
        found["links"] = found_links
    return found


def entry(row: EntryRow) -> Tree:
    """An entry: its item by hash. One that is no user's has a type, and no number."""
    found: Tree = {}
    if row.number is not None:
        found["index-entry-number"] = found["entry-number"] = str(row.number)
    else:
        found["type"] = row.type
    found["entry-timestamp"], found["key"] = row.timestamp, row.key
    found["item-hash"] = [] if row.item_hash is None else [format_hash(row.item_hash)]
    found["index"] = row.index
    return found


def _unsalted(item: Item) -> Item:
    """An item without its salt, which is no field: only the raw item, which hashes to its name, has it."""
    return {name: value for name, value in item.items() if name != SALT} if SALT in item else item


def links(view: View, item: Item | None, dangling: Dangling) -> list[Tree]:
    """Where the values of an item lead. `href` is left out where nobody knows, `dangling` where it does not."""
    found = []
    for column in view.linked:
        for value in values(item, column.name):
            target = view.linker.target(column, value)
            if target is not None:
                link: Tree = {"field": column.name, "value": value}
                if target.href is not None:
                    link["href"] = target.href
                if target.where == "nowhere" or target.record in dangling:
                    link["dangling"] = True
                found.append(link)
    return found


def register(view: View) -> Tree:
    """A register's summary."""
    found: Tree = {
        "domain": view.origin.rpartition("/")[0],
        "total-records": view.records,
        "total-entries": view.entries,
    }
    if definition := view.schema.register:
        texts = {
            "phase": definition.phase, "register": definition.name, "registry": definition.registry,
            "text": definition.text, "copyright": definition.copyright,
        }  # fmt: skip
        found["register-record"] = {"fields": list(definition.fields)} | {k: text for k, text in texts.items() if text}
    optional = {
        "custodian": view.schema.custodian, "last-updated": view.updated, "register-name": view.schema.title,
    }  # fmt: skip
    found.update((name, text) for name, text in optional.items() if text)
    return found | {"name": view.name, "origin": view.origin, "size": view.size, "root": format_hash(view.root)}


def _register(answer: models.RegisterHome) -> Tree:
    fields = [
        {"field": column.name, "datatype": column.datatype, "cardinality": "n" if column.many else "1"}
        | ({"register": column.register} if column.register else {})
        | ({"text": column.text} if column.text else {})
        for column in answer.view.columns
    ]
    return register(answer.view) | {"fields": fields}


def _registers(answer: models.RegisterList) -> list[Tree]:
    return [register(view) | {"href": f"{view.base}/register"} for view in answer.registers]


def _records(answer: models.Records) -> Tree:
    return {row.key: record(answer.view, row, answer.dangling) for row in answer.rows}


def _record(answer: models.Record) -> Tree:
    return {answer.row.key: record(answer.view, answer.row, answer.dangling)}


def _diff(answer: models.Diff) -> list[Tree]:
    found = []
    for change in answer.changes:
        line: Tree = {"key": change.key, "change": change.kind}
        if change.before is not None:
            line["before"] = record(answer.before, change.before)
        if change.after is not None:
            line["after"] = record(answer.view, change.after)
        found.append(line)
    return found


def _referrers(answer: models.Referrers) -> list[Tree]:
    record_of = answer.view.linker.record
    return [
        {"register": r.register, "field": r.field, "key": r.key, "href": record_of(r.register, r.key).href}
        for r in answer.referrers
    ]


def _entry_proof(answer: models.EntryProof) -> Tree:
    path = [format_hash(digest) for digest in answer.hashes]
    return {"proof-identifier": MERKLE, "entry-number": str(answer.number), "merkle-audit-path": path}


def _consistency_proof(answer: models.ConsistencyProof) -> Tree:
    nodes = [format_hash(digest) for digest in answer.hashes]
    return {"proof-identifier": MERKLE, "merkle-consistency-nodes": nodes}


def register_proof(view: View, v1_root: bytes) -> Tree:
    """The v1 register proof, and beside it what was signed."""
    return {
        "proof-identifier": MERKLE,
        "total-entries": view.entries,
        "root-hash": format_hash(v1_root),
        "size": view.size,
        "root": format_hash(view.root),
    }


def _problem(answer: models.Problem) -> Tree:
    return {"type": "about:blank", "status": answer.status, "title": answer.title, "detail": answer.detail}


_TREES: dict[type[Answer], Callable[[Any], Any]] = {
    models.RegisterList: _registers,
    models.RegisterHome: _register,
    models.Records: _records,
    models.Record: _record,
    models.Referrers: _referrers,
    models.Entries: lambda answer: [entry(row) for row in answer.rows],
    models.EntryAnswer: lambda answer: [entry(answer.row)],
    models.ItemAnswer: lambda answer: answer.item,
    models.Diff: _diff,
    models.RegisterProof: lambda answer: register_proof(answer.view, answer.v1_root),
    models.EntryProof: _entry_proof,
    models.ConsistencyProof: _consistency_proof,
    models.Problem: _problem,
}
