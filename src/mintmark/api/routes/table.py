"""The resources of a register: their paths, handlers and formats; and the redirects from the paths of v1.

Paths are below a register's. Of two that match, the first wins: words come before values in braces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mintmark.api.responses import DAY_SECONDS, YEAR_SECONDS
from mintmark.api.routes import downloads, entries, logs, proofs, records, registers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.responses import Response

    from mintmark.api.models import Model, View

Handler: TypeAlias = "Callable[..., Awaitable[Model | Response]]"
Formats: TypeAlias = tuple[str, ...]

LIST_FORMATS: Formats = ("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl", "full")
PROVABLE_FORMATS: Formats = (*LIST_FORMATS, "proof")
HOME_FORMATS: Formats = ("json", "yaml", "csv", "tsv", "ttl", "html", "full")
TREE_FORMATS: Formats = ("json", "yaml", "full")
DOWNLOAD_FORMATS: Formats = ("csv", "tsv", "ttl", "jsonl")

STREAMS = (DOWNLOAD_FORMATS, ("zip",), ("rsf",), ("jsonl",))
ANSWER_BYTES, DOWNLOAD_BYTES, LARGE_PAGE_BYTES = 2**20, 2**22, 2**26  # that are held for one


class Resource(NamedTuple):
    """A path's handler and formats, the default first.

    `max_age` is the number of seconds that the resource at a fixed size stays true; 0 where it may change, as a link
    may begin to resolve.
    """

    handler: Handler
    formats: Formats
    max_age: int = 0

    def memory(self, params: Mapping[str, str]) -> int:
        """The bytes to hold for an answer; where a client asks for a large page, those of the largest."""
        if self.formats in STREAMS:
            return DOWNLOAD_BYTES
        return LARGE_PAGE_BYTES if {"page-size", "limit"} & params.keys() else ANSWER_BYTES

    @property
    def page_formats(self) -> Formats:
        """The formats that a page links to."""
        return tuple(name for name in self.formats if name not in ("proof", "full"))


RESOURCES: Mapping[str, Resource] = {
    "": Resource(registers.register, HOME_FORMATS),
    "/register": Resource(registers.register, HOME_FORMATS),
    "/records": Resource(records.records, LIST_FORMATS),
    "/records/{key}": Resource(records.record, PROVABLE_FORMATS),
    "/records/{key}/entries": Resource(records.record_entries, LIST_FORMATS, YEAR_SECONDS),
    "/records/{key}/referrers": Resource(records.referrers, LIST_FORMATS),
    "/records/{field}/{value}": Resource(records.facet, LIST_FORMATS),
    "/search": Resource(records.search, LIST_FORMATS),
    "/diff": Resource(registers.diff, LIST_FORMATS),
    "/entries": Resource(entries.entries, LIST_FORMATS, YEAR_SECONDS),
    "/entries/{number}": Resource(entries.entry, PROVABLE_FORMATS, YEAR_SECONDS),
    "/items/{digest}": Resource(entries.item, HOME_FORMATS, DAY_SECONDS),
    "/log/entries": Resource(logs.entries, LIST_FORMATS, YEAR_SECONDS),
    "/log/entries/{index}": Resource(logs.entry, PROVABLE_FORMATS, YEAR_SECONDS),
    "/proof/register/merkle:sha-256": Resource(proofs.register, TREE_FORMATS, YEAR_SECONDS),
    "/proof/entries/{number}/{size}/merkle:sha-256": Resource(proofs.entry, TREE_FORMATS, YEAR_SECONDS),
    "/proof/consistency/{old}/{size}/merkle:sha-256": Resource(proofs.consistency, TREE_FORMATS, YEAR_SECONDS),
    "/download-register": Resource(downloads.register, ("zip",)),
    "/download-rsf": Resource(downloads.rsf, ("rsf",)),
    "/download-rsf/{start}": Resource(downloads.rsf, ("rsf",)),
    "/download-rsf/{start}/{end}": Resource(downloads.rsf, ("rsf",)),
    "/download-records": Resource(downloads.records, DOWNLOAD_FORMATS),
    "/download-log": Resource(downloads.log, ("jsonl",)),
}
# The handlers of the format `proof`.
PROOF_HANDLERS: Mapping[Handler, Callable[..., Awaitable[Response]]] = {
    records.record: proofs.record_file,
    entries.entry: proofs.entry_file,
    logs.entry: proofs.log_entry_file,
}
PLURALS = {"record": "records", "entry": "entries", "item": "items"}  # v1 changed to plural words


def v1_target(path: Sequence[str], view: View, *, html: bool = False) -> tuple[int, Sequence[str]] | None:
    """The status and segments of the redirect from a path of v1; None for any other path."""
    match path:
        case ["v1"]:
            return 301, [] if html else ["register"]
        case ["v1", *rest]:
            return 307, rest
        case [("record" | "entry" | "item") as word, *rest] if rest:
            return 301, [PLURALS[word], *rest]
        case ["proof", "entry", *rest]:
            return 301, ["proof", "entries", *rest]
        case [field, value] if field in view.column_names:
            return 301, ["records", value] if field == view.name else ["records", field, value]
    return None
