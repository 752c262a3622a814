"""Imports: what a file would append is planned, can be looked at, and is then appended.

A plan is made against one head. What others append between the plan and its application, the plan does not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from mintmark.errors import Rejected
from mintmark.tlog.text import other_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.register.entry import EntryType
    from mintmark.tlog.checkpoint import Checkpoint

FORMATS = ("rsf", "csv", "tsv", "jsonl")
BEGINNING_BYTES = 4096  # of a file, by which it is known


def check_content(stream: BinaryIO, format_: str) -> None:
    """Checks that a file may be what it is said to be, by its beginning. Raises Rejected, by what it seems to be."""
    start = stream.read(BEGINNING_BYTES)
    stream.seek(0)
    if what := other_content(start):
        raise Rejected(f"line 1: the file is {what}; save it as {format_.upper()}, in UTF-8", rule="table", line=1)
    if format_ == "jsonl" and start.lstrip().startswith(b"["):
        advice = "JSON Lines has an object a line: jq -c '.[]' makes them"
        raise Rejected(f"line 1: the file is one JSON array; {advice}", rule="table", line=1)


class PlannedEntry(NamedTuple):
    """An entry to append. `item` is canonical JSON, None for a tombstone; `timestamp` None means the mint's clock."""

    key: str
    item: bytes | None
    timestamp: str | None
    type: EntryType


class ImportResult(NamedTuple):
    """The entries of a file that were appended, those that the log held already, and the verified head after them."""

    appended: int
    present: int
    head: Checkpoint


class ImportPlan(Protocol):
    """The effect that an import would have.

    log        the log it goes to
    head       the verified head that it was made against
    count      the number of entries that it appends
    present    the number of rows of the file that the log holds already
    warnings   the faults that only the legacy mode admits, in words
    """

    @property
    def log(self) -> TrustedLog: ...  # noqa: D102
    @property
    def head(self) -> Checkpoint: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def present(self) -> int: ...  # noqa: D102
    @property
    def warnings(self) -> Sequence[str]: ...  # noqa: D102

    def entries(self) -> Iterator[PlannedEntry]:
        """The entries that it appends, in order."""

    async def apply(self, client: MintClient, step: Callable[[int], None], max_batch_entries: int) -> ImportResult:
        """Appends them. An application that was cut off is planned again: nothing is appended twice."""
