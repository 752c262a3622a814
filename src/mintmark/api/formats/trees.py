"""JSON (RFC 8259) and JSON Lines: a model as a tree of objects, lists and strings (openregister v1, "Shapes").

Where v1 published a shape, the members are exactly v1's: entry numbers are strings, `item` and `item-hash` lists. A
model that is `full` has ours too: `index` (the position in the log, from 0), `links`, `size` and `root`, and why an
item is not there: `erased` with the `erasure`, or `unreadable`. What v1 had not is always full. YAML prints the same
trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mintmark.api import models
from mintmark.api.formats import item_path
from mintmark.api.freshness import timestamp
from mintmark.register import canonical
from mintmark.register.item import SALT, format_hash, values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mintmark.api.freshness import LogFreshness
    from mintmark.api.models import Model, View
    from mintmark.register.item import Item
    from mintmark.store.registers.register_store import EntryRow

    Tree = dict[str, Any]
    Dangling = Collection[tuple[str, str]]

PROOF_IDENTIFIER = "merkle:sha-256"


def render_json(model: Model) -> bytes:
    """A model as one line of JSON. An item is canonical JSON: its bytes alone, which hash to its name."""
    if isinstance(model, models.ItemDetail) and model.item is not None:
        return canonical.format(model.item)
    return orjson.dumps(tree(model), option=orjson.OPT_APPEND_NEWLINE)


def render_jsonl(model: Model) -> bytes:
    """A model as JSON Lines: one row a line."""
    match model:
        case models.RecordList():
            return print_jsonl(record(model.view, row, model.dangling) for row in model.rows)
        case models.RecordDetail():
            return print_jsonl([record(model.view, model.row, model.dangling)])
    whole = tree(model)
    return print_jsonl(whole if isinstance(whole, list) else [whole])


def print_jsonl(trees: Iterable[Any]) -> bytes:
    """A line for each tree."""
    return b"".join([orjson.dumps(tree, option=orjson.OPT_APPEND_NEWLINE) for tree in trees])


def tree(model: Model) -> Any:
    """A model as a tree."""
    return _TREES[type(model)](model)


def published_record(row: EntryRow) -> Tree:
    """A record as v1 published it: its latest entry, with the item."""
    number = str(row.number)
    return {
        "index-entry-number": number,
        "entry-number": number,
        "entry-timestamp": row.timestamp,
        "key": row.key,
        "item": [] if row.item is None else [_unsalted(row.item)],
    }


def record(view: View, row: EntryRow, dangling: Dangling = ()) -> Tree:
    """A record in full."""
    found = published_record(row) | {"index": row.index} | _absence(row)
    if row.unreadable:
        found["item-bytes"] = view.base + item_path(row.index)
    if found_links := links(view, row.item, dangling):
        found["links"] = found_links
    return found


def entry(row: EntryRow) -> Tree:
    """An entry in full."""
    return published_entry(row) | {"index": row.index} | _absence(row)


def published_entry(row: EntryRow) -> Tree:
    """An entry as v1 published it, with its item by hash. A system entry has a type instead of a number."""
    found: Tree = {}
    if row.number is not None:
        found["index-entry-number"] = found["entry-number"] = str(row.number)
    else:
        found["type"] = row.type
    found["entry-timestamp"], found["key"] = row.timestamp, row.key
    found["item-hash"] = [] if row.item_hash is None else [format_hash(row.item_hash)]
    return found


def _absence(row: EntryRow) -> Tree:
    """Why an item that the entry names is not there."""
    if row.erasure is not None:
        return {"erased": True, "erasure": row.erasure._asdict()}
    return {"unreadable": True} if row.unreadable else {}


def _unsalted(item: Item) -> Item:
    """An item without its salt, which is no field. Only the raw item, which hashes to its name, has it."""
    return {name: value for name, value in item.items() if name != SALT} if SALT in item else item


def links(view: View, item: Item | None, dangling: Dangling) -> list[Tree]:
    """The links of an item. `href` is left out where nobody knows it, `dangling` where the link does not dangle."""
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


def published_register(view: View) -> Tree:
    """A register's summary as v1 published it."""
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
    optional = {"custodian": view.schema.custodian, "last-updated": view.updated}
    return found | {name: text for name, text in optional.items() if text}


def register(view: View) -> Tree:
    """A register's summary in full."""
    found = published_register(view)
    if view.schema.title:
        found["register-name"] = view.schema.title
    return found | {"name": view.name, "origin": view.origin, "size": view.size, "root": format_hash(view.root)}


def _register(model: models.RegisterDetail) -> Tree:
    if not model.full:
        return published_register(model.view)
    fields = [
        {"field": column.name, "datatype": column.datatype, "cardinality": "n" if column.many else "1"}
        | ({"register": column.register} if column.register else {})
        | ({"text": column.text} if column.text else {})
        for column in model.view.columns
    ]
    return register(model.view) | {"freshness": _freshness(model.freshness), "fields": fields}


def _registers(model: models.RegisterList) -> list[Tree]:
    return [
        register(view) | {"freshness": _freshness(freshness), "href": f"{view.base}/register"}
        for view, freshness in zip(model.registers, model.freshness, strict=True)
    ]


def _freshness(freshness: LogFreshness) -> Tree:
    """How fresh a log is; why, where it is stopped."""
    match freshness.state:
        case "behind":
            return {"state": "behind", "lag": freshness.lag}
        case "unknown":
            return {"state": "unknown"} | ({"since": freshness.since} if freshness.since else {})
        case "stopped":
            evidence = [
                {"kind": c.kind, "reason": c.reason, "at": timestamp(c.at), "notes": [_text(note) for note in c.notes]}
                for c in freshness.contradictions
            ]
            return {"state": "stopped", "reason": freshness.reason, "evidence": evidence}
    return {"state": freshness.state}


def _text(note: bytes) -> str:
    return note.decode("utf-8", "backslashreplace")


def _records(model: models.RecordList) -> Tree:
    if not model.full:
        return {row.key: published_record(row) for row in model.rows}
    return {row.key: record(model.view, row, model.dangling) for row in model.rows}


def _record(model: models.RecordDetail) -> Tree:
    if not model.full:
        return {model.row.key: published_record(model.row)}
    return {model.row.key: record(model.view, model.row, model.dangling)}


def _entries(model: models.EntryList | models.EntryDetail) -> list[Tree]:
    rows = model.rows if isinstance(model, models.EntryList) else [model.row]
    return [entry(row) if model.full else published_entry(row) for row in rows]


def _diff(model: models.Diff) -> list[Tree]:
    found = []
    for change in model.changes:
        line: Tree = {"key": change.key, "change": change.kind}
        if change.before is not None:
            line["before"] = record(model.before, change.before)
        if change.after is not None:
            line["after"] = record(model.view, change.after)
        found.append(line)
    return found


def _referrers(model: models.ReferrerList) -> list[Tree]:
    record_of = model.view.linker.record
    return [
        {"register": r.register, "field": r.field, "key": r.key, "href": record_of(r.register, r.key).href}
        for r in model.referrers
    ]


def _entry_proof(model: models.EntryProof) -> Tree:
    path = [format_hash(digest) for digest in model.hashes]
    return {"proof-identifier": PROOF_IDENTIFIER, "entry-number": str(model.number), "merkle-audit-path": path}


def _consistency_proof(model: models.ConsistencyProof) -> Tree:
    nodes = [format_hash(digest) for digest in model.hashes]
    return {"proof-identifier": PROOF_IDENTIFIER, "merkle-consistency-nodes": nodes}


def register_proof(view: View, v1_root: bytes) -> Tree:
    """The v1 register proof in full: with the size and root that were signed."""
    return _published_proof(view, v1_root) | {"size": view.size, "root": format_hash(view.root)}


def _published_proof(view: View, v1_root: bytes) -> Tree:
    return {
        "proof-identifier": PROOF_IDENTIFIER,
        "total-entries": view.entries,
        "root-hash": format_hash(v1_root),
    }


def _register_proof(model: models.RegisterProof) -> Tree:
    return (register_proof if model.full else _published_proof)(model.view, model.v1_root)


def _problem(model: models.Problem) -> Tree:
    return {"type": "about:blank", "status": model.status, "title": model.title, "detail": model.detail}


_TREES: dict[type[Model], Callable[[Any], Any]] = {
    models.RegisterList: _registers,
    models.RegisterDetail: _register,
    models.RecordList: _records,
    models.RecordDetail: _record,
    models.ReferrerList: _referrers,
    models.EntryList: _entries,
    models.EntryDetail: _entries,
    models.ItemDetail: lambda model: model.item,
    models.Diff: _diff,
    models.RegisterProof: _register_proof,
    models.EntryProof: _entry_proof,
    models.ConsistencyProof: _consistency_proof,
    models.Problem: _problem,
}
