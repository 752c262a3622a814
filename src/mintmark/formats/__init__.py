"""Kinds of logs: a module for each kind, which is its `Format`. Pure.

    kind       files beside the tiles           leaf hash    rows beside leaf hashes
    opaque     tile/entries                     of entry     none
    register   tile/entries and tile/items      of entry     `entry`, one for each entry

All that differs between kinds of logs stands here; fetching, verifying, leases, evidence, commits and checks are the
same code for all. A new kind is one module here, its name in `LogKind` and `FORMATS`, and one .sql file for its rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, Protocol

from mintmark.formats import opaque, register
from mintmark.register.datatypes import NAME_PATTERN
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.register.entry import Row
    from mintmark.tlog.trust import VerifiedChunk

LogKind = Literal["opaque", "register"]

# A log's name is the first segment of its paths in the read API, which has paths and suffixes of its own.
RESERVED_NAMES = frozenset(("-", "openapi", "robots.txt"))
FORMAT_SUFFIXES = frozenset(("json", "yaml", "csv", "tsv", "ttl", "html", "jsonl", "rsf", "zip", "proof"))
_NAMES: Mapping[LogKind, tuple[re.Pattern[str], str]] = {
    "register": (re.compile(NAME_PATTERN), "lower-case letters, digits and hyphens, a letter first"),
    "opaque": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*"), "letters, digits and . _ ~ -, a letter or digit first"),
}


class Format(Protocol):
    """One kind of log. `width` is a number of entries or hashes, 1 to 256; `index` counts tiles or bundles."""

    def tile_path(self, level: int, index: int, width: int) -> str:
        """The file of a tile. Raises Malformed where no such tile can be."""

    def bundle_paths(self, index: int, width: int) -> tuple[str, ...]:
        """The files of a bundle: its entries, then what travels beside them. Raises Malformed as `tile_path` does."""

    def cut_bundle(self, data: bytes, width: int) -> bytes:
        """The first `width` entries of a bundle's file. Raises Malformed where there are fewer."""

    def leaf_hashes(self, entries: bytes) -> bytes:
        """The leaf hashes of a bundle's entries, 32 bytes each. Raises Malformed where they end within an entry."""

    def begins_with(self, entries: bytes) -> bool:
        """True if a log of this kind may begin with these entries."""

    def open_chunk(self, chunk: VerifiedChunk) -> Sequence[Row]:
        """The rows of the chunk's new entries, in order. Raises ProofError for what no entry binds."""


def name_fault(origin: str, kind: LogKind) -> str | None:
    """Why a new log of this origin could not be linked in the read API, or not be defined; None where it can.

    Logs that exist keep their names, and are served as far as these allow.
    """
    name = short_name(origin)
    pattern, rule = _NAMES[kind]
    if not pattern.fullmatch(name):
        return f"{name!r} cannot be the name of {'a register' if kind == 'register' else 'a log'}: it is {rule}"
    if name in RESERVED_NAMES:
        return f"{name!r} cannot be the name of a log: the read API has a path of its own that is called so"
    if name.rpartition(".")[2] in FORMAT_SUFFIXES and "." in name:
        return f"{name!r} cannot be the name of a log: its end names a format of the read API"
    return None


FORMATS: Mapping[LogKind, Format] = {"opaque": opaque, "register": register}
