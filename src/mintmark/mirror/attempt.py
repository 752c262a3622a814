"""One log in one worker: who offers which head, whether the lease is ours, which source is asked next.

A source that is down, slow or behind is passed over. One that lies is distrusted for this log until a human decides, and
what it said is evidence. The log stops where the log itself lied (two signed heads that cannot both be true), or where no
source is left to believe.
"""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.errors import Conflict, Fork, Malformed, NotYet, Rollback, Unavailable, Untrusted
from mintmark.mirror.follow import Follower
from mintmark.tlog.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.errors import MintmarkError
    from mintmark.mirror.source import Source
    from mintmark.mirror.worker import Worker
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

LEASE, LEASE_LEFT = 4.0, 1.0  # seconds a lease lasts, and below which it is taken anew before a step
SLICE = 1.0  # seconds that a long catch-up keeps its lane
NEAR = 4096  # entries: a gap up to this is a short step
STOPPED = 5.0  # seconds between looks at a log that is stopped


class Followed:
    """A log that a worker follows. One task at a time."""

    def __init__(self, worker: Worker, origin: str, kind: str, verifiers: Sequence[Verifier]) -> None:
        self.origin, self.kind, self.verifiers = origin, kind, verifiers
        self.moved = asyncio.Event()
        self._worker = worker
        self._offers: dict[str, bytes] = {}  # by source: notes not looked at yet; hostile
        self._heads: dict[str, Checkpoint] = {}  # by source: its newest head, signature verified
        self._distrusted: set[str] = set()
        self._follower: Follower | None = None
        self._id = -1
        self._leased = 0.0

    def offer(self, address: str, note: bytes) -> None:
        """A source announced a head."""
        self._offers[address] = note
        self.moved.set()

    def lost(self, address: str) -> None:
        """A source's stream ended: what it shows next may be older, as behind a balancer."""
        self._offers.pop(address, None)
        self._heads.pop(address, None)

    def retrust(self, verifiers: Sequence[Verifier]) -> None:
        """Other keys from now on."""
        self.verifiers, self._leased = verifiers, 0.0
        self.moved.set()

    async def attempt(self, sources: Mapping[str, Source]) -> float | None:
        """A step, if there is one to do; the seconds after which to look again, None: when the log moves."""
        if monotonic() > self._leased - LEASE_LEFT:
            wait = await self._lease(sources)
            if wait != 0:
                return wait
        else:
            await self._open_offers(sources)
        return await self._advance(sources)

    async def _lease(self, sources: Mapping[str, Source]) -> float | None:
        """Reads where the log stands and takes its lease. 0: go on; else as `attempt`."""
        store = self._worker.store
        progress = await store.follow(self.origin, self.kind)
        self._id, self._distrusted = progress.id, await store.distrusted(progress.id)
        self._follower = None
        if progress.stopped is not None:
            return STOPPED
        await self._open_offers(sources)
        if self._most() <= progress.shown:
            return None
        if self._id not in await store.claim([self._id], self._worker.name, LEASE):
            return LEASE * random.uniform(0.5, 1)  # noqa: S311  # jitter
        self._leased = monotonic() + LEASE
        return 0

    async def _open_offers(self, sources: Mapping[str, Source]) -> None:
        """Verifies what was offered. A source whose head shrinks within one stream contradicts itself."""
        while self._offers:
            address, note = self._offers.popitem()
            try:
                head = open_checkpoint(note, self.origin, self.verifiers)
                before = self._heads.get(address)
                if before is not None and head.size < before.size:
                    raise Rollback(f"{address} went back from {before.size} entries to {head.size}", before.note, note)
                self._heads[address] = head
            except (Untrusted, Malformed) as lie:
                await self._contradicted(address, lie, sources)

    async def _advance(self, sources: Mapping[str, Source]) -> float | None:
        """A step with the first source that can: those that offer the most come first, in order of preference."""
        self._follower = self._follower or Follower(
            self._worker.store, self.origin, self.verifiers, self._worker.cosigner
        )
        tried: MintmarkError = Unavailable(f"no trusted source offers {self.origin}")
        for address in self._preferred(sources):
            try:
                done = await self._step(sources[address], self._heads[address])
            except (Untrusted, Malformed) as lie:
                await self._contradicted(address, lie, sources)
            except (NotYet, Unavailable) as error:
                tried = error
            except Conflict:
                self._leased = 0.0
                return random.uniform(0.01, 0.2)  # noqa: S311  # jitter
            else:
                return None if done else 0.0
        raise tried

    async def _step(self, source: Source, head: Checkpoint) -> bool:
        follower = self._follower
        if follower is None:
            raise AssertionError("set by _advance")
        near = follower.size is not None and head.size - follower.size <= NEAR
        async with self._worker.short if near else self._worker.long:
            return await follower.step(source, head.note, self.kind, min(monotonic() + SLICE, self._worker.deadline))

    async def _contradicted(self, address: str, lie: Exception, sources: Mapping[str, Source]) -> None:
        """Keeps the evidence; no step with this source, or with any where the log itself lied."""
        self._distrusted.add(address)
        self._heads.pop(address, None)
        stop = isinstance(lie, Fork) or not (sources.keys() - self._distrusted)
        log = (await self._worker.store.follow(self.origin, self.kind)).id
        await self._worker.store.contradict(log, lie, address, stop=stop)
        self._worker.tell("contradiction", self.origin, f"{address}: {lie}")
        if stop:
            self._leased = 0.0

    def _preferred(self, sources: Mapping[str, Source]) -> list[str]:
        able = [address for address in sources if address in self._heads and address not in self._distrusted]
        return sorted(able, key=lambda address: self._heads[address].size < self._most())

    def _most(self) -> int:
        return max((head.size for address, head in self._heads.items() if address not in self._distrusted), default=-1)
