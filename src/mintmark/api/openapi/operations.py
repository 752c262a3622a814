"""The purpose of each path of the read API, in words: the part of the OpenAPI document beside the routing table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ABOUT = """\
Registers, read from a verified copy of their signed, append-only logs.

**Formats.** A suffix of the path decides (`.json` `.yaml` `.csv` `.tsv` `.ttl` `.html` …), else `Accept`, else it is
JSON. Errors come in the same format; in JSON they are problem details (RFC 9457). A key or value that itself ends like
a suffix is asked for with `%2E` for that dot, and a slash in it with `%2F`. CSV and TSV quote as RFC 4180 says; a list
is one cell, its values joined with `;`, or a JSON array of strings where that could not be split again.

JSON has exactly the members that openregister v1 published, where it did. `Accept: application/vnd.mintmark+json` or
`?full=1` gives ours too: an entry's `index`, a record's `links`, a register's `origin`, `size`, `root` and `fields`.

**Any time.** `?at=` takes a size of the log or a time, and everything is as it was then, the schema too.

**Freshness.** `Mintmark-Freshness` says how fresh the log's copy is: `current`, `behind; lag=N` (entries that are known
and not here yet), `unknown; since=TIME` (no source has said since then whether there is more), or `stopped` (the log
contradicted itself, or no source of it is left to believe).

**Proof.** Each answer names the log's origin, the size that it speaks for and the root of the tree of that size:
`Mintmark-Origin`, `Mintmark-Size`, `Mintmark-Root`. `…/log/checkpoint` is the signed root, and `.proof` after a record
or an entry the tlog-proof file that leads there.

A register has a host of its own too, where its log's origin says so: `https://{register}.{domain}/records` is
`/{register}/records`."""

TAGS = {
    "Registers": "The registers here, and each of them.",
    "Records": "The latest entry of each key.",
    "Entries": "The history, entry by entry, and items by their hashes.",
    "Proofs": "The log itself (C2SP tlog-tiles, tlog-proof), and the proofs of the v1 API.",
    "Downloads": "Whole registers in one stream.",
    "v1": "Paths of openregister v1 that lie elsewhere now.",
    "Other": "Paths of no register.",
}


V1_SHAPES = ("Register", "Record", "Records", "Entries", "RegisterProof")


@dataclass(frozen=True, slots=True)
class Operation:
    """A path's description. `shape` names its JSON schema; `type` is its media type, where it has no suffixes."""

    summary: str
    tag: str
    shape: str = ""
    parameters: tuple[str, ...] = ()
    text: str = ""
    type: str = ""
    headers: tuple[str, ...] = ("ETag",)

    @property
    def published(self) -> bool:
        """True where v1 published a shape of its own, which JSON then has."""
        return (self.shape in V1_SHAPES and self.tag != "Proofs") or self.shape == "RegisterProof"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter. `name` is its name in the query, where two kinds share one."""

    text: str
    example: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    in_path: bool = False
    name: str = ""


def _path(text: str, example: str, schema: Mapping[str, Any] | None = None) -> Parameter:
    return Parameter(text, example, schema or {"type": "string", "minLength": 1}, in_path=True)


def _number(least: int, most: int | None = None, default: int | None = None) -> Mapping[str, Any]:
    limits = {"minimum": least, "maximum": most, "default": default}
    return {"type": "integer"} | {name: limit for name, limit in limits.items() if limit is not None}


_AT: Mapping[str, Any] = {
    "type": "string",
    "pattern": "^(0|[1-9][0-9]{0,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?)$",
}

PARAMETERS: Mapping[str, Parameter] = {
    "register": _path("The register's name.", "country", {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"}),
    "key": _path("The record's key.", "GB"),
    "field": _path("A field of the register.", "name"),
    "value": _path("The value of the field, or one of its values.", "Germany"),
    "number": _path("A user entry's number, from 1.", "7", _number(1)),
    "index": _path("An entry's position in the log, from 0.", "7", _number(0)),
    "digest": _path("An item's hash.", "", {"type": "string", "pattern": "^sha-256:[0-9a-f]{64}$"}),
    "size": _path("The number of user entries in the tree.", "20", _number(1)),
    "old": _path("The number in the older tree.", "10", _number(1)),
    "start": _path("The user entries after this number, from 0.", "0", _number(0)),
    "end": _path("The user entries up to this number.", "10", _number(0)),
    "level": _path("A level of tiles, 0 the leaves'.", "0", _number(0, 7)),
    "tile": _path("A tile's index, as C2SP tlog-tiles writes it.", "000.p/10"),
    "at": Parameter("A size of the log, a date (the end of that day) or a time: as it was then.", schema=_AT),
    "full": Parameter("1: with the members that v1 has not.", schema={"enum": ["0", "1"], "default": "0"}),
    "page-index": Parameter("The number of the page, from 1.", schema=_number(1, 10**9, 1)),
    "page-size": Parameter("The number of records on a page.", schema=_number(1, 5_000, 100)),
    "sort": Parameter("By key, or the newest entry first.", schema={"enum": ["key", "newest"], "default": "key"}),
    "after": Parameter("The start of the page: a key, or an index where the newest come first. Links contain it."),
    "past": Parameter("With `after`, the start of the page within the entries of one key.", schema=_number(0)),
    "after-index": Parameter("Entries past this index.", schema=_number(0), name="after"),
    "name": Parameter("With `value`: only records with this field …"),
    "having": Parameter("… of this value.", name="value"),
    "q": Parameter("Words, all of which a record has; the last may be a beginning.", "united", name="q"),
    "first": Parameter("The number of the first entry.", schema=_number(1, 2**63 - 1, 1), name="start"),
    "first-index": Parameter("The index of the first entry.", schema=_number(0, 2**63 - 1, 0), name="start"),
    "limit": Parameter("The number of entries at most.", schema=_number(1, 5_000, 100)),
    "from": Parameter("The older side: a size or a time. A year before the newer one, if not given.", schema=_AT),
    "to": Parameter("The newer side: a size or a time. The newest, if not given.", schema=_AT),
    "changes": Parameter("The number of changes at most.", schema=_number(1, 1_000, 100), name="limit"),
}  # fmt: skip

_PAGE = ("page-index", "page-size", "sort", "after", "past", "at")
_HOME = Operation(
    "A register", "Registers", "Register", ("at",),
    "Its name, custodian, counts, fields, and the root that was signed. As CSV and TSV: its fields.",
)  # fmt: skip
_MERKLE = "Over the user entries in the form of v1, which RSF asserts too; what is signed is the log's own tree."
_STREAM = ("Content-Disposition",)

OPERATIONS: Mapping[str, Operation] = {
    "/": Operation("Every register here", "Registers", "Registers"),
    "": _HOME,
    "/register": _HOME,
    "/records": Operation("Records", "Records", "Records", ("name", "having", *_PAGE), "In an order that stays."),
    "/records/{key}": Operation("A record", "Records", "Records", ("at",), "404 where it has ended."),
    "/records/{key}/entries": Operation(
        "A record's entries", "Records", "Entries", ("after-index", "at"), "All, oldest first, up to 5,000 at a time."
    ),
    "/records/{key}/referrers": Operation(
        "The referrers of a record", "Records", "Referrers", ("at",),
        "Records of any register here that link to it, up to 100 for each field that may.",
    ),
    "/records/{field}/{value}": Operation("Records by a field's value", "Records", "Records", _PAGE),
    "/search": Operation("Records by words", "Records", "Records", ("q", *_PAGE)),
    "/diff": Operation(
        "Changes", "Records", "Changes", ("from", "to", "first-index", "changes", "at"),
        "Records that were added, changed or ended between two sizes or times, in the order of their last entries.",
    ),
    "/entries": Operation(
        "Entries", "Entries", "Entries", ("first", "limit", "at"), "An empty list past the last: poll with it."
    ),
    "/entries/{number}": Operation("An entry", "Entries", "Entries", ("at",)),
    "/items/{digest}": Operation("An item", "Entries", "Item", ("at",), "As JSON it is the bytes that were hashed."),
    "/log/entries": Operation(
        "The log's entries", "Proofs", "Entries", ("first-index", "limit", "at"), "User and system entries, by index."
    ),
    "/log/entries/{index}": Operation("An entry of the log", "Proofs", "Entries", ("at",)),
    "/proof/register/merkle:sha-256": Operation("The v1 root", "Proofs", "RegisterProof", ("at",), _MERKLE),
    "/proof/entries/{number}/{size}/merkle:sha-256": Operation(
        "The v1 audit path of an entry", "Proofs", "EntryProof", ("at",), _MERKLE
    ),
    "/proof/consistency/{old}/{size}/merkle:sha-256": Operation(
        "The v1 consistency of two sizes", "Proofs", "ConsistencyProof", ("at",), _MERKLE
    ),
    "/download-register": Operation(
        "The archive", "Downloads", "", ("at",), "Summary, items, entries, proof and checkpoint.", headers=_STREAM
    ),
    "/download-rsf": Operation(
        "The register as RSF", "Downloads", "", ("at",),
        "406 where a record ended, or an item was erased or is unreadable.", headers=_STREAM,
    ),
    "/download-rsf/{start}": Operation("Later entries as RSF", "Downloads", "", ("at",), headers=_STREAM),
    "/download-rsf/{start}/{end}": Operation("Some entries as RSF", "Downloads", "", ("at",), headers=_STREAM),
    "/download-records": Operation("All records", "Downloads", "", ("at",), headers=_STREAM),
    "/download-log": Operation(
        "The log as JSON Lines", "Downloads", "", ("at",), "Without loss: `mintmark import` reads it.", headers=_STREAM
    ),
}  # fmt: skip

LOG: Mapping[str, Operation] = {
    "/log/checkpoint": Operation("The signed checkpoint", "Proofs", type="text/plain", headers=()),
    "/log/tile/{level}/{tile}": Operation("A tile of hashes", "Proofs", type="application/octet-stream", headers=()),
    "/log/tile/entries/{tile}": Operation("A bundle of entries", "Proofs", type="application/octet-stream", headers=()),
    "/log/tile/items/{tile}": Operation("Their items", "Proofs", type="application/octet-stream", headers=()),
    "/log/items/{index}": Operation(
        "An entry's item, as it was hashed", "Proofs", type="application/octet-stream", headers=()
    ),
}
FIXED: Mapping[str, Operation] = {
    "/openapi.json": Operation("This document", "Other", type="application/json", headers=()),
    "/robots.txt": Operation("Rules for robots", "Other", type="text/plain", headers=()),
    "/-/docs": Operation("This document, to read and to try", "Other", type="text/html", headers=()),
}
MOVED: Mapping[str, str] = {
    "/v1": "/register",
    "/record/{key}": "/records/{key}",
    "/entry/{number}": "/entries/{number}",
    "/item/{digest}": "/items/{digest}",
    "/proof/entry/{number}/{size}/merkle:sha-256": "/proof/entries/{number}/{size}/merkle:sha-256",
    "/{field}/{value}": "/records/{field}/{value}",
}


def proof_file(path: str) -> Operation:
    """The tlog-proof beside a record or an entry."""
    return Operation(
        f"The proof of {OPERATIONS[path].summary[0].lower()}{OPERATIONS[path].summary[1:]}", "Proofs", "", ("at",),
        "A tlog-proof file: the entry and its item, and that they are in the log, with the smallest signed checkpoint "
        "that covers them. `mintmark verify FILE` checks it.",
        headers=("Mintmark-Proof-Size",),
    )  # fmt: skip
