"""The heads of one log that its sources show: as they came, and as the log signed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.errors import Busy, Malformed, NotAvailableYet, NotFound, Rollback, Unavailable, Untrusted
from mintmark.sources.source import MAX_NOTE_BYTES
from mintmark.tlog.checkpoint import open_checkpoint, read_tree_head
from mintmark.tlog.note import parse_note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mintmark.formats import LogKind
    from mintmark.sources.guarded import GuardedSource
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier


@dataclass
class ShownLog:
    """One log as one source shows it. `offer` is a note not opened yet: hostile. `head` is signed by the log."""

    address: str
    kind: LogKind
    offer: bytes | None = None
    opened: bytes | None = None  # the note that was opened last
    head: Checkpoint | None = None  # its checkpoint
    compared: bool = True  # with our copy
    restarted: bool = False  # the stream began anew: its next head may be smaller than the last, as behind a balancer

    @property
    def knows_kind(self) -> bool:
        """False where it shows no entry: only entries tell of which kind a log is. What is no checkpoint tells it."""
        try:
            return read_tree_head(self.offer or self.opened or b"").size > 0
        except Malformed:
            return True

    def take(self, note: bytes, kind: LogKind) -> None:
        """Takes a note to be opened, in the place of one that was not."""
        self.offer, self.kind = note[:MAX_NOTE_BYTES], kind

    def open(self, note: bytes, origin: str, verifiers: Sequence[Verifier]) -> None:
        """Opens the note that was offered.

        Raises:
            Malformed, BadSignature: it is no checkpoint that the log signed.
            Rollback: its tree is smaller than the last, within one stream. Carries both notes.
        """
        head, last = open_checkpoint(note, origin, verifiers), self.head
        if last is not None and head.size < last.size and not self.restarted:
            raise Rollback(f"{self.address} went back from {last.size} entries to {head.size}", last.note, note)
        self.offer, self.opened, self.head = None, note, head
        self.restarted = self.compared = False

    def newest(self, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint | None:
        """The newest head that the source shows, opened or not; None where the log did not sign it."""
        if self.offer is None:
            return self.head
        try:
            return open_checkpoint(self.offer, origin, verifiers)
        except (Untrusted, Malformed):  # the attempt will keep it as evidence
            return None

    def reopen(self) -> None:
        """Offers the opened note once more: it is to be opened with other keys."""
        self.offer, self.opened, self.head = self.offer or self.opened, None, None

    def forget(self) -> None:
        """Forgets all that the source showed but the kind."""
        self.offer = self.opened = self.head = None


class ShownHeads:
    """What each source shows, by its address."""

    def __init__(self) -> None:
        self._shown: dict[str, ShownLog] = {}

    def __iter__(self) -> Iterator[ShownLog]:
        return iter(list(self._shown.values()))

    def __getitem__(self, address: str) -> ShownLog:
        return self._shown[address]

    def get(self, address: str) -> ShownLog | None:
        """What a source shows; None where it showed nothing yet."""
        return self._shown.get(address)

    def begin(self, address: str, kind: LogKind) -> ShownLog:
        """What a source shows; the log is of this kind, as it says, if this is its first word."""
        return self._shown.setdefault(address, ShownLog(address, kind))

    async def open_offers(
        self, origin: str, verifiers: Sequence[Verifier], sources: Mapping[str, GuardedSource]
    ) -> list[tuple[str, Untrusted | Malformed]]:
        """Opens the notes that were offered; the lies among them, by who showed them.

        Caches before a source may have told one, so the note is asked for once more, past them. One that cannot be had
        then stays offered.
        """
        lies: list[tuple[str, Untrusted | Malformed]] = []
        for shown in (each for each in self if each.offer is not None):
            try:
                await _open(shown, origin, verifiers, sources.get(shown.address))
            except (Untrusted, Malformed) as lie:
                lies.append((shown.address, lie))
            except (NotFound, NotAvailableYet, Unavailable, Busy):
                continue
        return lies

    def other_keys(self, verifiers: Sequence[Verifier]) -> set[str]:
        """The IDs of keys of the log, by their name, beside these: it may soon sign with those alone."""
        names, ours = {verifier.name for verifier in verifiers}, {verifier.key_id for verifier in verifiers}
        lines = [line for shown in self if shown.opened is not None for line in parse_note(shown.opened)[1]]
        return {line.key_id.hex() for line in lines if line.name in names and line.key_id not in ours}

    @property
    def largest(self) -> Checkpoint | None:
        """The largest head that the log signed."""
        heads = [shown.head for shown in self._shown.values() if shown.head is not None]
        return max(heads, key=lambda head: head.size, default=None)

    def preferred(
        self, sources: Mapping[str, GuardedSource], size: int, kind: LogKind | None
    ) -> list[tuple[GuardedSource, Checkpoint]]:
        """The sources that show a head of more than `size` entries, and it, in the order of being asked.

        Those that call the log another kind are left out; None: each may be right.
        """
        able = [
            (source, shown.head)
            for address, source in sources.items()
            if (shown := self._shown.get(address)) is not None and kind in (None, shown.kind)
            if shown.head is not None and shown.head.size > size
        ]
        largest = self.largest
        return sorted(
            able,
            key=lambda each: (each[0].avoided, each[0].slow, largest is not None and each[1].size < largest.size),
        )


async def _open(shown: ShownLog, origin: str, verifiers: Sequence[Verifier], source: GuardedSource | None) -> None:
    try:
        shown.open(shown.offer or b"", origin, verifiers)
    except (Untrusted, Malformed):
        if source is None or not source.cached:
            raise
        with source.past_caches():
            shown.open(await source.checkpoint(origin), origin, verifiers)
