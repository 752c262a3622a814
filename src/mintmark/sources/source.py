"""Where entries come from: the seam between following a log and the network.

A source is never trusted. Everything it returns goes through `tlog.trust.LogVerifier` before it is written. A source
that is down or behind raises Unavailable, NotFound or NotAvailableYet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from mintmark.tlog.trust import Chunk


class Announcement(Protocol):
    """A checkpoint, as a stream brought it."""

    @property
    def origin(self) -> str: ...
    @property
    def note(self) -> bytes: ...
    @property
    def kind(self) -> int: ...


class ListedLog(Protocol):
    """A log that a source names."""

    @property
    def origin(self) -> str: ...
    @property
    def kind(self) -> int: ...


class Source(Protocol):
    """One server of logs. `address` names it in evidence and status."""

    address: str

    async def logs(self) -> Sequence[ListedLog]:
        """The logs it names."""

    def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        """Present notes, then each new one."""

    async def checkpoint(self, origin: str) -> bytes:
        """The present note."""

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""

    def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        """Chunks that cover [start, end), each with its proof against `size`."""
