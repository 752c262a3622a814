"""Which path is whose, as a table. Paths are below a register's base; words win over the values in braces.

`moved` gives the redirects of v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api.linking import segment
from mintmark.api.routes import downloads, entries, proofs, records, registers
from mintmark.api.routes.context import DAY, FOREVER, Route
from mintmark.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.api.models import View
    from mintmark.api.routes.context import Handler

    Segments = tuple[str, ...]

ROWS = ("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl")
ONE = ("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl", "proof")
HOME = ("json", "yaml", "csv", "tsv", "ttl", "html")
TREE = ("json", "yaml")
BULK = ("csv", "tsv", "ttl", "jsonl")

ROUTES: Mapping[str, Route] = {
    "": Route(registers.register, HOME),
    "/register": Route(registers.register, HOME),
    "/records": Route(records.records, ROWS),
    "/records/{key}": Route(records.record, ONE),
    "/records/{key}/entries": Route(records.trail, ROWS, FOREVER),
    "/records/{key}/referrers": Route(records.referrers, ROWS),
    "/records/{field}/{value}": Route(records.facet, ROWS),
    "/search": Route(records.search, ROWS),
    "/diff": Route(registers.diff, ROWS),
    "/entries": Route(entries.entries, ROWS, FOREVER),
    "/entries/{number}": Route(entries.entry, ONE, FOREVER),
    "/items/{digest}": Route(entries.item, HOME, DAY),
    "/log/entries": Route(entries.log_entries, ROWS, FOREVER),
    "/log/entries/{index}": Route(entries.log_entry, ONE, FOREVER),
    "/proof/register/merkle:sha-256": Route(proofs.register, TREE, FOREVER),
    "/proof/entries/{number}/{size}/merkle:sha-256": Route(proofs.entry, TREE, FOREVER),
    "/proof/consistency/{old}/{size}/merkle:sha-256": Route(proofs.consistency, TREE, FOREVER),
    "/download-register": Route(downloads.register, ("zip",)),
    "/download-rsf": Route(downloads.rsf, ("rsf",)),
    "/download-rsf/{start}": Route(downloads.rsf, ("rsf",)),
    "/download-rsf/{start}/{end}": Route(downloads.rsf, ("rsf",)),
    "/download-records": Route(downloads.records, BULK),
    "/download-log": Route(downloads.log, ("jsonl",)),
}
PROOF_FILES: Mapping[Handler, Handler] = {
    records.record: proofs.record_file,
    entries.entry: proofs.entry_file,
    entries.log_entry: proofs.log_entry_file,
}
SINGULAR = {"record": "records", "entry": "entries", "item": "items"}


def route(path: Sequence[str]) -> tuple[Route, dict[str, str]]:
    """The route of a path's segments, and what they say in the place of its names. Raises NotFound."""
    for template, found in _BY_SHAPE.get((len(path), path[0] if path else ""), ()):
        args = {}
        for name, text in zip(template, path, strict=True):
            if name[0] == "{":
                args[name[1:-1]] = text
            elif name != text:
                break
        else:
            return found, args
    raise NotFound("nothing is at this path; /openapi.json lists what there is")


def _by_shape() -> dict[tuple[int, str], list[tuple[Segments, Route]]]:
    """The routes by how many segments they have and what the first is, in the order of the table."""
    found: dict[tuple[int, str], list[tuple[Segments, Route]]] = {}
    for path, known in ROUTES.items():
        template = tuple(path.split("/")[1:])
        found.setdefault((len(template), template[0] if template else ""), []).append((template, known))
    return found


_BY_SHAPE = _by_shape()


def moved(path: Sequence[str], view: View, *, html: bool = False) -> tuple[int, Sequence[str]] | None:
    """Where v1 had this path and has it no more: the status and the segments of the new one."""
    match path:
        case ["v1"]:
            return 301, [] if html else ["register"]
        case ["v1", *rest]:
            return 307, rest
        case [("record" | "entry" | "item") as word, *rest] if rest:
            return 301, [SINGULAR[word], *rest]
        case ["proof", "entry", *rest]:
            return 301, ["proof", "entries", *rest]
        case [field, value] if field in {column.name for column in view.columns}:
            return 301, ["records", value] if field == view.name else ["records", field, value]
    return None


def join(path: Sequence[str]) -> str:
    """The path again, encoded; a segment that is empty would make another host of what follows."""
    return "".join("/" + segment(part) for part in path if part)
