"""One log in one worker: who offers which head, whether the lease is ours, which source is asked next.

A source that is down, slow or behind is passed over. One that lies is distrusted for this log until a human decides,
and what it said is evidence. The log stops where the log itself lied (it signed two heads that cannot both be true),
or where no source is left to believe.

Every head is compared with what is here, the small ones too: a fork need not be the longer branch.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import (
    Busy,
    Conflict,
    Fork,
    Malformed,
    MintmarkError,
    NotAvailableYet,
    NotFound,
    Rollback,
    Unavailable,
    Untrusted,
)
from mintmark.mirror.catch_up import CatchUp
from mintmark.mirror.consistency import check_known, contradicts_itself
from mintmark.tlog.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.mirror.worker import Worker
    from mintmark.sources.guarded import GuardedSource
    from mintmark.store.mirror.model import Progress
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

LEASE, LEASE_LEFT = 3.0, 1.0  # seconds a lease lasts, and below which it is taken anew before a step
AFTER = 0.3  # seconds, with jitter, from the end of another's lease to our try
SLICE = 1.0  # seconds that a long catch-up keeps its lane
NEAR = 4096  # entries: a gap up to this is a short step
STOPPED = 5.0  # seconds between looks at a log that is stopped, or a source of which is distrusted: it may be resumed
MOST_NOTE = 128 * 2**10  # bytes


class OfferedHead(NamedTuple):
    """What a source showed: a note, and what kind of log it is said to be of."""

    note: bytes
    kind: str


class LogTask:
    """A log that a worker follows. One task at a time."""

    def __init__(self, worker: Worker, origin: str, verifiers: Sequence[Verifier]) -> None:
        self.origin, self.verifiers = origin, verifiers
        self.moved = asyncio.Event()
        self.stopped: str | None = None
        self.distrusted: set[str] = set()
        self.lie: str | None = None  # what a source said last that cannot be true
        self._worker, self._store = worker, worker.store
        self._offers: dict[str, OfferedHead] = {}  # by source: not looked at yet; hostile
        self._newest: dict[str, bytes] = {}  # by source: the note that was looked at last
        self._heads: dict[str, Checkpoint] = {}  # by source: its newest head, signature verified
        self._kinds: dict[str, str] = {}  # by source: what kind it says the log is
        self._renewed: set[str] = set()  # sources whose next head may be older than their last
        self._unknown: set[str] = set()  # sources whose head was not compared with what is here
        self._progress: Progress | None = None
        self._follower: CatchUp | None = None
        self._leased = 0.0

    def offer(self, address: str, note: bytes, kind: str) -> None:
        """A source announced a head. One that it showed before is nothing new, however often it is sent."""
        if note == self._newest.get(address):
            self._renewed.discard(address)
        elif address not in self.distrusted:
            self._offers[address] = OfferedHead(note[:MOST_NOTE], kind)
            self.moved.set()

    def lost(self, address: str) -> None:
        """A source's stream ended: what it shows next may be older, as behind a balancer."""
        for known in (self._offers, self._newest, self._heads):
            known.pop(address, None)

    def renewed(self, addresses: Iterable[str]) -> None:
        """These sources' streams begin anew, as we asked: a thousand logs need not be looked at for that."""
        self._renewed.update(addresses)

    def retrust(self, verifiers: Sequence[Verifier]) -> None:
        """Other keys from now on: what was opened with the old ones is opened again."""
        if [v.vkey for v in verifiers] == [v.vkey for v in self.verifiers]:
            return
        self.verifiers, self._leased = verifiers, 0.0
        for address, note in self._newest.items():
            self._offers.setdefault(address, OfferedHead(note, self._kinds[address]))
        self._newest.clear()
        self._heads.clear()
        self.moved.set()

    @property
    def offered(self) -> int:
        """The size of the largest head that a source showed, signed by the log; 0: none."""
        return max(self._most(), 0)

    async def attempt(self) -> float | None:
        """A step, if there is one to do; the seconds after which to look again, None: when the log moves."""
        if monotonic() > self._leased - LEASE_LEFT or self._progress is None:
            await self._look()
            if self.stopped is not None:
                return STOPPED
        await self._open_offers()
        await self._compare()
        if self.stopped is not None:
            return STOPPED
        if self._most() > self._known().shown:
            return await self._advance()
        return None

    async def _look(self) -> None:
        """Reads where the log stands. The follower's state is as old as the lease: it goes with it."""
        self._follower, self._leased = None, 0.0
        said = self._kinds | {address: offer.kind for address, offer in self._offers.items()}
        kind = next((said[a] for a in self._worker.peers if a in said and a not in self.distrusted), "opaque")
        progress = self._progress = await self._store.follow(self.origin, kind)
        self.stopped = progress.stopped
        distrusted = await self._store.evidence.distrusted(progress.id)
        for address in (self.distrusted - distrusted) & self._worker.peers.keys():  # a human has decided
            try:
                note = await self._worker.peers[address].checkpoint(self.origin)
                self._offers[address] = OfferedHead(note[:MOST_NOTE], progress.kind)
            except MintmarkError:
                distrusted.add(address)  # and is asked at the next look
        self.distrusted = distrusted
        for address in distrusted:  # by another worker too, or before this one began
            self.lost(address)

    async def _open_offers(self) -> None:
        """Verifies what was offered. A source whose head shrinks within one stream contradicts itself."""
        while self._offers:
            address, (note, kind) = next(iter(self._offers.items()))
            try:
                head = open_checkpoint(note, self.origin, self.verifiers)
                before = self._heads.get(address)
                if before is not None and head.size < before.size and address not in self._renewed:
                    raise Rollback(f"{address} went back from {before.size} entries to {head.size}", before.note, note)
            except (Untrusted, Malformed) as lie:
                await self._contradicted(address, lie, stop=False)
            else:
                self._heads[address], self._newest[address], self._kinds[address] = head, note, kind
                self._unknown.add(address)
                self._renewed.discard(address)
            if self._offers.get(address) == (note, kind):
                del self._offers[address]

    async def _compare(self) -> None:
        """Compares the heads that are not ahead of what is here with it."""
        progress = self._known()
        for address in [a for a in self._unknown if a not in self._heads or self._heads[a].size <= progress.size]:
            if (head := self._heads.get(address)) is not None:
                try:
                    await check_known(self._store, progress, head)
                except Fork as lie:
                    await self._contradicted(address, lie, stop=True)
            self._unknown.discard(address)

    async def _advance(self) -> float | None:
        """A step with the first source that can: those that offer the most come first, in order of preference."""
        tried: MintmarkError = Unavailable(f"no trusted source offers {self.origin} as {self._known().kind}")
        for peer in self._preferred():
            try:
                return await self._step(peer, self._heads[peer.address])
            except (Untrusted, Malformed) as lie:
                stop = contradicts_itself(lie, self.origin, self.verifiers)
                await self._contradicted(peer.address, lie, stop=stop)
                if self.stopped is not None:
                    return STOPPED
            except (NotFound, NotAvailableYet, Unavailable, Busy) as error:
                tried = error
            except Conflict:
                self._leased = 0.0
                return random.uniform(0.01, 0.2)  # noqa: S311  # jitter
        raise tried

    async def _step(self, peer: GuardedSource, head: Checkpoint) -> float | None:
        """Once a lane is free: the lease, and a step. The lane comes first, for a lease runs while it waits."""
        near = head.size - self._known().size <= NEAR
        async with peer.short if near else peer.long:
            if monotonic() > self._leased - LEASE_LEFT and (wait := await self._lease()):
                return wait
            follower = self._follower = self._follower or CatchUp(
                self._store, self.origin, self.verifiers, self._worker.cosigners, self._worker.lull
            )
            deadline = min(monotonic() + SLICE, self._worker.deadline)
            with self._worker.lull.broken() if near else nullcontext():
                done = await follower.step(peer, head.note, self._known().kind, deadline)
        self._progress = follower.progress
        if done:
            self._unknown.discard(peer.address)
        return None if done and self._most() <= head.size else 0.0

    async def _lease(self) -> float:
        """Takes the lease, or says in how many seconds to try again."""
        self._follower, self._leased = None, 0.0
        if self._worker.yields():
            return LEASE_LEFT + AFTER
        wait = await self._store.leases.claim(self._known().id, self._worker.name, LEASE)
        if wait:
            return wait + random.uniform(0, AFTER)  # noqa: S311  # jitter
        self._leased = monotonic() + LEASE
        return 0.0

    async def _contradicted(self, address: str, lie: Exception, *, stop: bool) -> None:
        """Keeps the evidence first; then no step with this source, or with any where the log itself lied or none is
        left.
        """
        stop = stop or not self._worker.peers.keys() - self.distrusted - {address}
        await self._store.evidence.contradict(self._known().id, lie, address, stop=stop)
        self.distrusted.add(address)
        self.lie = f"{type(lie).__name__}: {lie}"
        self.lost(address)
        if stop:
            self._leased, self.stopped = 0.0, self.lie
        self._worker.on_event("contradiction", self.origin, f"{address}: {lie}")

    def _preferred(self) -> list[GuardedSource]:
        kind = self._known().kind
        able = [peer for address, peer in self._worker.peers.items() if self._kinds.get(address) == kind]
        ahead = {address: head.size for address, head in self._heads.items() if head.size > self._known().shown}
        return sorted(
            (peer for peer in able if peer.address in ahead),
            key=lambda peer: (peer.avoided, ahead[peer.address] < self._most()),
        )

    def _most(self) -> int:
        return max((head.size for head in self._heads.values()), default=-1)

    def _known(self) -> Progress:
        if self._progress is None:
            raise AssertionError("set by _look")
        return self._progress
