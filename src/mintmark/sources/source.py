"""Where entries come from: the seam between following a log and the network.

A source is never trusted. Everything that it returns goes through `tlog.trust.LogVerifier` before it is written. A
source that is down or behind raises Unavailable, NotFound or NotAvailableYet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from mintmark.errors import Malformed, ProofError
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.merkle import check_consistency

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mintmark.formats import LogKind
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import Chunk

MAX_NOTE_BYTES = 128 * 2**10  # that are read of a source's note


class Announcement(NamedTuple):
    """A checkpoint as a stream brought it, and the kind of log that it is said to be of."""

    origin: str
    note: bytes
    kind: LogKind


class Confirmation(NamedTuple):
    """A source's word that the heads that it showed last were the newest ones, so many seconds ago. It says nothing of
    those of the origins `unconfirmed`.
    """

    age: float
    unconfirmed: frozenset[str] = frozenset()


class ListedLog(NamedTuple):
    """A log that a source names."""

    origin: str
    kind: LogKind
    size: int = 0  # of its head, as the source says
    age: float | None = 0.0  # in seconds, of the evidence that this is the newest head; None: there is none

    def announce(self, note: bytes) -> Announcement:
        """A checkpoint of the log, as a stream would have brought it."""
        return Announcement(self.origin, note, self.kind)


class Source(Protocol):
    """One server of logs. `address` names it in evidence and status."""

    address: str

    async def logs(self) -> Sequence[ListedLog]:
        """The logs that it names."""

    def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement | Confirmation]:
        """Present notes, then each new one: of these origins, or of all; and now and then that there are no others."""

    async def checkpoint(self, origin: str) -> bytes:
        """The present note."""

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""

    def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        """Chunks that cover [start, end), each with its proof against `size`, from the bundle that holds `start`."""


@runtime_checkable
class FileSource(Protocol):
    """A source of files: caches may stand before it. With `past_caches`, they are to ask the server itself."""

    past_caches: bool

    def on_bytes(self, call: Callable[[], None]) -> None:
        """Has a function called whenever bytes come."""


class TreeSource(Protocol):
    """A server of tiles and proofs."""

    async def tiles(self, origin: str, tiles: Sequence[tuple[int, int, int]]) -> list[bytes]:
        """Tiles by (level, index, width), in the order of the question."""

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""


async def edge_at(source: TreeSource, head: Checkpoint, size: int) -> Edge:
    """The right edge of the tree of the first `size` entries: a download may begin anywhere.

    Raises:
        ProofError: it is not shown to be of the head's tree.
    """
    if size == 0:
        return Edge()
    keys = tile.edge_keys(size)
    hashes = await source.tiles(head.origin, [(*key, tile.tile_width(*key, size)) for key in keys])
    proof = await source.consistency(head.origin, size, head.size)
    if len(hashes) != len(keys):
        raise ProofError(f"the server sent {len(hashes)} tiles of {len(keys)}")
    try:
        edge = Edge.load(size, dict(zip(keys, hashes, strict=True)))
        check_consistency(size, edge.root(), head.size, head.root, proof)
    except Malformed as error:
        raise ProofError(f"the server sent bytes that do not parse: {error}") from error
    return edge
