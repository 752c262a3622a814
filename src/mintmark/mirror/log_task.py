"""One log in one worker: which head is followed, if the lease is ours, which source is asked, when it is tried again.

A source that is down, slow or behind is passed over. One that lies is distrusted for this log until a human decides,
and what it sent is kept as evidence. The log stops where the log itself lied (it signed two heads that cannot both be
true), or where no source is left to believe. An item that one withholds is asked of the others.

Every head is compared with our copy, the small ones too: a fork need not be the longer branch.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from mintmark.errors import (
    Busy,
    Conflict,
    Malformed,
    MintmarkError,
    NotAvailableYet,
    NotFound,
    Unavailable,
    Untrusted,
)
from mintmark.mirror.consistency import find_forks
from mintmark.mirror.shown_heads import ShownHeads
from mintmark.mirror.withheld import keeps_head_back, search
from mintmark.tlog.trust import is_equivocation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mintmark.formats import LogKind
    from mintmark.mirror.catch_up import CatchUp
    from mintmark.mirror.pipeline import ForegroundGate
    from mintmark.sources.guarded import GuardedSource
    from mintmark.store.mirror.model import Progress
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

    EventSink = Callable[[str, str, str], None]  # event, origin, detail

LEASE_SECONDS, MIN_LEASE_SECONDS = 3.0, 1.0  # how long a lease lasts; a step begins with no less than this of it
STEP_SECONDS = 1.0  # that a long catch-up keeps its lane
MAX_SHORT_STEP_ENTRIES = 4096  # that are missing at a short step
STOPPED_SECONDS = 5.0  # between looks at a log that is stopped, or a source of which is distrusted: it may be resumed


class LeasePolicy(Protocol):
    """Who may work on a log."""

    async def claim(self, log: int, seconds: float) -> float:
        """Takes or renews the lease of a log for so long: 0. Else the seconds after which to try again."""


class LogTask:
    """A log that a worker follows. Not for two tasks at once.

    `kind` is that of the configuration. Without it, a source's word is a guess until the first entries are written:
    they prove it, and each source is asked as what it calls the log.
    """

    def __init__(
        self,
        origin: str,
        verifiers: Sequence[Verifier],
        sources: Mapping[str, GuardedSource],
        store: ReadStore,
        leases: LeasePolicy,
        catch_up: CatchUp,
        gate: ForegroundGate,
        on_event: EventSink,
        step_seconds: float = STEP_SECONDS,
        kind: LogKind | None = None,
    ) -> None:
        self.origin, self.verifiers, self.kind = origin, verifiers, kind
        self.moved = asyncio.Event()
        self.stopped: str | None = None
        self.distrusted: set[str] = set()  # addresses
        self.lie: str | None = None  # the last contradiction of a source
        self._sources, self._store, self._leases, self._catch_up = sources, store, leases, catch_up
        self._gate, self._on_event, self._step_seconds = gate, on_event, step_seconds
        self.shown = ShownHeads()
        self._progress: Progress | None = None
        self._leased_until = 0.0
        self._warned_of_keys = False  # by which the log signs, and which are not trusted
        self._noted = 0  # the largest head that a long catch-up went to

    def offer(self, address: str, note: bytes, kind: LogKind) -> None:
        """Takes a head that a source announced. One that was opened before is nothing new, however often it is sent."""
        shown = self.shown.begin(address, kind)
        if note == shown.opened:
            shown.restarted = False
        elif address not in self.distrusted:
            shown.take(note, kind)
            self.moved.set()

    def lost(self, address: str) -> None:
        """A source's stream ended: nothing that it showed counts any more."""
        if (shown := self.shown.get(address)) is not None:
            shown.forget()

    def follow(self, verifiers: Sequence[Verifier], sources: Mapping[str, GuardedSource]) -> None:
        """Follows these sources by these keys from now on.

        Notes opened with other keys are opened again. All streams begin anew, because the worker reopens them: that
        alone is no reason to look at a thousand logs.
        """
        for address in self._sources.keys() - sources.keys():
            self.lost(address)
        if [v.vkey for v in verifiers] != [v.vkey for v in self.verifiers]:
            for shown in self.shown:
                shown.reopen()
            self._catch_up.trust(verifiers)
            self._leased_until = 0.0
            self.moved.set()
        self.verifiers, self._sources = verifiers, sources
        for shown in self.shown:
            shown.restarted = True

    @property
    def progress(self) -> Progress | None:
        """How far the log is verified, as it was read or written last; None where it was not looked at yet."""
        return self._progress

    async def attempt(self, deadline: float = float("inf")) -> float | None:
        """A step, if there is one to do, until the (monotonic) deadline.

        Returns the seconds after which to look again; None: when the log moves.
        """
        if monotonic() > self._leased_until - MIN_LEASE_SECONDS or self._progress is None:
            await self._look()
            if self.stopped is not None:
                return STOPPED_SECONDS
        await self._open_offers()
        await self._compare()
        if self.stopped is not None:
            return STOPPED_SECONDS
        if self._largest() > self._known().shown:
            await self._note_target()
            return await self._advance(deadline)
        if any(shown.offer is not None for shown in self.shown):
            raise Unavailable(f"no head of {self.origin} that its sources show can be opened now")
        return None

    async def _look(self) -> None:
        """Reads where the log stands. The catch-up's state is as old as the lease: it goes with it."""
        self._catch_up.forget()
        self._leased_until = 0.0
        believed = [shown for a in self._sources if a not in self.distrusted and (shown := self.shown.get(a))]
        believed.sort(key=lambda shown: not shown.knows_kind)
        said: LogKind = believed[0].kind if believed else "opaque"
        progress = self._progress = await self._store.follow(self.origin, self.kind or said)
        self.stopped = progress.stopped
        distrusted = await self._store.evidence.distrusted(progress.id)
        resumed = self.distrusted - distrusted  # a human has decided
        self.distrusted = distrusted | {a for a in resumed if not await self._ask_again(a, progress.kind)}
        for address in self.distrusted:  # by another worker too, or before this one began
            self.lost(address)

    async def _ask_again(self, address: str, kind: LogKind) -> bool:
        """Takes the present head of a source that is trusted again; False where it gives none, to be asked later."""
        if (source := self._sources.get(address)) is None:
            return True
        try:
            note = await source.checkpoint(self.origin)
        except MintmarkError:
            return False
        self.shown.begin(address, kind).take(note, kind)
        return True

    async def _open_offers(self) -> None:
        for address, lie in await self.shown.open_offers(self.origin, self.verifiers, self._sources):
            await self._contradicted(address, lie, stop=False)
        if not self._warned_of_keys and (others := self.shown.other_keys(self.verifiers)):
            self._warned_of_keys = True
            reason = f"it is signed with the key {', '.join(sorted(others))} too, which is not trusted here"
            self._on_event("other key", self.origin, f"{reason}; add it, if it is the log's, before the old one goes")

    async def _compare(self) -> None:
        """Compares the heads with our copy, as far as it goes."""
        for address, lie in await find_forks(self._store, self._known(), self.shown):
            await self._contradicted(address, lie, stop=True)

    async def _note_target(self) -> None:
        """Notes where a long catch-up goes to before it begins: it may wait for its lane, and for its first bytes."""
        largest = self._largest()
        if largest - self._known().size > MAX_SHORT_STEP_ENTRIES and largest > self._noted:
            await self._store.freshness.offer({self.origin: largest})
            self._noted = largest

    async def _advance(self, deadline: float) -> float | None:
        """A step, or what there is to do where none can be done."""
        try:
            return await self._ask_sources(deadline)
        except Conflict:
            self._leased_until = 0.0
            return random.uniform(0.01, 0.2)  # noqa: S311  # jitter

    async def _ask_sources(self, deadline: float) -> float | None:
        """A step with the first source that can: those that offer the most come first, in order of preference."""
        tried: MintmarkError = Unavailable(f"no trusted source offers {self.origin} as {self._known().kind}")
        for source, head in self._preferred():
            try:
                return await self._try(source, head, deadline)
            except (Untrusted, Malformed) as lie:
                await self._contradicted(source.address, lie, stop=is_equivocation(lie, self.origin, self.verifiers))
                if self.stopped is not None:
                    return STOPPED_SECONDS
            except (NotFound, NotAvailableYet, Unavailable, Busy) as error:
                tried = error
        if await self._heal():
            return 0.0
        raise tried

    async def _heal(self) -> bool:
        """Asks the sources for the items that keep the head back; True if it is shown now.

        Raises NotAvailableYet where no source has one of them.
        """
        progress = self._progress = await self._store.progress(self.origin)
        if not keeps_head_back(progress):
            return False
        believed = {address: source for address, source in self._sources.items() if address not in self.distrusted}
        searched = await search(self._store, progress, self.verifiers, self._preferred(), believed)
        for address, lie in searched.lies:
            await self._contradicted(address, lie, stop=False)
        if searched.lacking is not None:
            raise NotAvailableYet(f"{searched.lacking}, no erasure explains it, and no other source here has it")
        shown = await self._catch_up.show(searched.giver)
        self._progress = self._catch_up.progress
        return shown

    async def _try(self, source: GuardedSource, head: Checkpoint, deadline: float) -> float | None:
        """A step; where it finds a lie, once more past the caches before the source, which may have told it."""
        try:
            return await self._step(source, head, deadline)
        except (Untrusted, Malformed):
            if not source.cached:
                raise
        with source.past_caches():
            return await self._step(source, head, deadline)

    async def _step(self, source: GuardedSource, head: Checkpoint, deadline: float) -> float | None:
        """Once a lane is free: the lease, and a step. The lane comes first, for a lease runs while it waits."""
        short = head.size - self._known().size <= MAX_SHORT_STEP_ENTRIES
        async with source.short_lanes if short else source.long_lanes:
            if monotonic() > self._leased_until - MIN_LEASE_SECONDS and (wait := await self._lease()):
                return wait
            deadline = min(monotonic() + self._step_seconds, deadline)
            with self._gate.step() if short else nullcontext():
                kind = self._right_kind or self.shown[source.address].kind
                done = await self._catch_up.step(source, head.note, kind, deadline)
        self._progress = self._catch_up.progress
        if done:
            self.shown[source.address].compared = True
        return None if done and all(each.compared or each.head is None for each in self.shown) else 0.0

    async def _lease(self) -> float:
        """Takes the lease: 0; or the seconds after which to try again."""
        self._catch_up.forget()
        self._leased_until = 0.0
        if not (wait := await self._leases.claim(self._known().id, LEASE_SECONDS)):
            self._leased_until = monotonic() + LEASE_SECONDS
        return wait

    async def _contradicted(self, address: str, lie: Exception, *, stop: bool) -> None:
        """Keeps the evidence first. Then no step is done with this source, or with any: where the log itself lied, or
        no source is left.
        """
        stop = stop or not self._sources.keys() - self.distrusted - {address}
        await self._store.evidence.contradict(self._known().id, lie, address, stop=stop)
        self.distrusted.add(address)
        self.lie = f"{type(lie).__name__}: {lie}"
        self.lost(address)
        if stop:
            self._leased_until, self.stopped = 0.0, self.lie
        self._on_event("contradiction", self.origin, f"{address}: {lie}")

    def _preferred(self) -> list[tuple[GuardedSource, Checkpoint]]:
        """The sources with a head that is not shown yet, and these heads; in the order of being asked."""
        return self.shown.preferred(self._sources, self._known().shown, self._right_kind)

    @property
    def _right_kind(self) -> LogKind | None:
        """The kind of the log; None while only the sources' words for it are known."""
        return self._known().kind if self._known().size else self.kind

    def _largest(self) -> int:
        largest = self.shown.largest
        return largest.size if largest is not None else -1

    def _known(self) -> Progress:
        if self._progress is None:
            raise AssertionError("set by _look")
        return self._progress
