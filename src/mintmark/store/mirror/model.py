"""The values that a mirror writes into a read database, and reads from it: plain, frozen, without a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mintmark.formats import LogKind
    from mintmark.register.reduce import RegisterRows
    from mintmark.store.log.model import Head
    from mintmark.tlog.trust import VerifiedChunk


@dataclass(frozen=True, slots=True)
class Progress:
    """The verified part of a log. `note` is the pending checkpoint of size `pending`, `shown` the head's size or -1."""

    id: int
    origin: str
    name: str
    kind: LogKind
    size: int
    note: bytes | None
    pending: int
    stopped: str | None
    shown: int
    root: bytes | None = None  # of the head


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last word of a living worker about a source; `error` None: the source's stream is open.

    `confirmed` is when the source last said that the heads that it showed are the newest; None: never.
    """

    worker: str
    source: str
    error: str | None
    at: datetime
    confirmed: datetime | None


@dataclass(frozen=True, slots=True)
class LogStatus:
    """One line of `mintmark status`, from data alone.

    `offered` is the size of the largest signed head that a source showed; `late`, the seconds since a head was shown
    that is not complete here yet; `quiet`, the seconds since the last step; `contradictions`, the number of those about
    which nobody has decided; `confirmed`, the time when a source last said that there is no larger head, or since when
    the log is followed; `fresh`, whether that holds still.
    """

    origin: str
    name: str
    kind: str
    size: int
    pending: int
    head: int
    source: str | None
    stopped: str | None
    error: str | None
    head_at: datetime | None
    quiet: float
    offered: int
    late: float
    contradictions: int
    worker: str | None
    confirmed: datetime
    fresh: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """A contradiction: the notes, oldest first, and why they cannot both be true."""

    id: int
    kind: str
    reason: str
    notes: list[bytes]
    source: str
    at: datetime
    resumed: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Verified chunks that follow one another, the rows of their entries, and the head where they complete it.

    `live` is the number of records that stand before a register's batch; None where the batch before is on its way,
    whose commit says it.
    """

    log: int
    old_size: int
    chunks: Sequence[VerifiedChunk]
    rows: RegisterRows | None  # None: an opaque log
    live: int | None
    note: bytes  # the pending checkpoint, as verified
    pending: int
    source: str
    head: Head | None  # given when old_size + the chunks reach `pending`

    @property
    def size(self) -> int:
        """The verified size after this batch."""
        return self.chunks[-1].end if self.chunks else self.old_size


class Committed(NamedTuple):
    """A batch that was written: True if the head moved to its end; how many records of a register stand after it."""

    shown: bool
    live: int
