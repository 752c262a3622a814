"""Which path is whose. Paths are below a register's base; a route's words win over values that are called like them.

`moved` gives the redirects of v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api.linking import segment
from mintmark.api.routes import downloads, entries, proofs, records, registers
from mintmark.api.routes.context import DAY, FOREVER, Route
from mintmark.errors import NotYet

if TYPE_CHECKING:
    from mintmark.api.answers import View
    from mintmark.api.routes.context import Handler

ROWS = ("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl")
ONE = ("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl", "proof")
HOME = ("json", "yaml", "csv", "tsv", "ttl", "html")
DIFF = ("json", "yaml", "csv", "tsv", "html", "jsonl")
TREE = ("json", "yaml")
BULK = ("csv", "tsv", "ttl", "jsonl")

SINGULAR = {"record": "records", "entry": "entries", "item": "items"}


def route(path: list[str]) -> Route:
    """The route of a path's segments. Raises NotYet."""
    match path:
        case [] | ["register"]:
            return Route(registers.register, {}, HOME)
        case ["records"]:
            return Route(records.records, {}, ROWS)
        case ["records", key]:
            return Route(records.record, {"key": key}, ONE)
        case ["records", key, "entries"]:
            return Route(records.trail, {"key": key}, ROWS, FOREVER)
        case ["records", key, "referrers"]:
            return Route(records.referrers, {"key": key}, DIFF)
        case ["records", field, value]:
            return Route(records.facet, {"field": field, "value": value}, ROWS)
        case ["search"]:
            return Route(records.search, {}, ROWS)
        case ["diff"]:
            return Route(registers.diff, {}, DIFF)
        case _:
            return _entry_route(path) or _proof_route(path) or _download_route(path)


def _entry_route(path: list[str]) -> Route | None:
    match path:
        case ["entries"]:
            return Route(entries.entries, {}, ROWS, FOREVER)
        case ["entries", number]:
            return Route(entries.entry, {"number": number}, ONE, FOREVER)
        case ["items", digest]:
            return Route(entries.item, {"digest": digest}, HOME, DAY)
        case ["log", "entries"]:
            return Route(entries.log_entries, {}, ROWS, FOREVER)
        case ["log", "entries", number]:
            return Route(entries.log_entry, {"number": number}, ONE, FOREVER)
    return None


def _proof_route(path: list[str]) -> Route | None:
    match path:
        case ["proof", "register", "merkle:sha-256"]:
            return Route(proofs.register, {}, TREE, FOREVER)
        case ["proof", "entries", number, size, "merkle:sha-256"]:
            return Route(proofs.entry, {"number": number, "size": size}, TREE, FOREVER)
        case ["proof", "consistency", old, size, "merkle:sha-256"]:
            return Route(proofs.consistency, {"old": old, "size": size}, TREE, FOREVER)
    return None


def _download_route(path: list[str]) -> Route:
    match path:
        case ["download-register"]:
            return Route(downloads.register, {}, ("zip",))
        case ["download-rsf"]:
            return Route(downloads.rsf, {}, ("rsf",))
        case ["download-rsf", start]:
            return Route(downloads.rsf, {"start": start}, ("rsf",))
        case ["download-rsf", start, end]:
            return Route(downloads.rsf, {"start": start, "end": end}, ("rsf",))
        case ["download-records"]:
            return Route(downloads.records, {}, BULK)
        case ["download-log"]:
            return Route(downloads.log, {}, ("jsonl",))
    raise NotYet("nothing is at this path; /openapi.json lists what there is")


PROOF_FILES: dict[Handler, Handler] = {
    records.record: proofs.record_file,
    entries.entry: proofs.entry_file,
    entries.log_entry: proofs.log_entry_file,
}


def moved(path: list[str], view: View) -> tuple[int, list[str]] | None:
    """Where v1 had this path and has it no more: the status and the segments of the new one."""
    match path:
        case ["v1"]:
            return 301, ["register"]
        case ["v1", *rest]:
            return 307, rest
        case [("record" | "entry" | "item") as word, *rest] if rest:
            return 301, [SINGULAR[word], *rest]
        case ["proof", "entry", *rest]:
            return 301, ["proof", "entries", *rest]
        case [field, value] if field in {column.name for column in view.columns}:
            return 301, ["records", value] if field == view.name else ["records", field, value]
    return None


def join(path: list[str]) -> str:
    """The path again, encoded."""
    return "".join("/" + segment(part) for part in path)
