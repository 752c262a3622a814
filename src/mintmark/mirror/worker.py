"""A worker: watches its sources and follows each log that moved, a step at a time.

Work is found, not assigned. A checkpoint that a stream brings makes its log *wanted*; the worker that takes the lease
first does the step, the others look again when the lease has run out. So a worker that dies leaves nothing behind but
leases of a few seconds. One that is added gets its share: who holds more than that lets a lease go when it would renew
it. Leases only save double work: correctness is the compare-and-swap in `ReadStore.commit_batch`.

Logs that are nearly up to date have lanes of their own, and a long catch-up yields its lane every second: it never
delays the others by more than a batch. What goes wrong with one log or one source, a defect of ours included, is told,
and tried again later; it ends neither the worker nor another log.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.aio import Backoff
from mintmark.errors import Busy, MintmarkError, Unavailable
from mintmark.mirror.log_task import STOPPED, LogTask
from mintmark.mirror.priority import ForegroundGate
from mintmark.sources.guarded import GuardedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mintmark.sources.source import Source
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.note import Signer, Verifier

BACKOFF_FIRST, BACKOFF_MAX = 0.2, 10.0  # seconds
STEADY = 10.0  # seconds of a stream after which its end is a failure like the first
POLL = 2.0  # seconds between looks at a source that answers and gives no stream
BEAT = 2.0  # seconds between heartbeats
ALIVE = 3 * BEAT  # seconds after its last heartbeat that a worker is counted on
KINDS = {1: "opaque", 2: "register"}  # as on the wire


class Worker:
    """Follows the logs of `trust` (origin -> verifiers) from `sources`, in order of preference, into one read database.

    `on_event(event, origin, detail)` hears of troubles and contradictions: the shell logs and counts them.
    """

    def __init__(
        self,
        name: str,
        store: ReadStore,
        sources: Sequence[Source],
        trust: Mapping[str, Sequence[Verifier]],
        *,
        cosigners: Sequence[Signer] = (),
        on_event: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self.name, self.store, self.cosigners, self.on_event = name, store, cosigners, on_event
        self.deadline = float("inf")  # on the monotonic clock: no step goes on beyond it
        self.trust = trust
        self.peers = {source.address: GuardedSource(source) for source in sources}
        self._logs: dict[str, LogTask] = {}
        self.lull = ForegroundGate()
        self._surplus = 0  # leases that others should have
        self._tasks: asyncio.TaskGroup | None = None
        self._watching: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Works until cancelled, and gives its leases back."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._beat())
                self._watch_all()
        finally:
            self._tasks = None
            await self.release()

    async def release(self) -> None:
        """Gives the leases back, if the database can be reached: they end by themselves."""
        try:
            async with asyncio.timeout(1):
                await self.store.leases.release(self.name)
                await self.store.notifier.flush()
        except (MintmarkError, TimeoutError):
            self.on_event("trouble", "", "leases were not given back; they end by themselves")

    def follow(self, trust: Mapping[str, Sequence[Verifier]], sources: Sequence[Source]) -> None:
        """Follows these logs from these sources from now on; a log that is trusted no more is left as it stands."""
        gone = self.peers.keys() - {source.address for source in sources}
        self.trust = trust
        self.peers = {source.address: self.peers.get(source.address) or GuardedSource(source) for source in sources}
        for origin, log in self._logs.items():
            log.retrust(trust.get(origin, ()))
            for address in gone:
                log.lost(address)
        self._watch_all()

    def yields(self) -> bool:
        """Whether a lease that could be renewed is better left to others. Asking uses it up."""
        self._surplus -= 1
        return self._surplus >= 0

    def _watch_all(self) -> None:
        """A stream for each source, for the logs that are trusted now."""
        for task in self._watching:
            task.cancel()
        for log in self._logs.values():
            log.renewed(self.peers)
        if self._tasks is not None:
            self._watching = [self._tasks.create_task(self._watch(peer)) for peer in self.peers.values() if self.trust]

    async def _watch(self, peer: GuardedSource) -> None:
        """One stream for all logs of a source; polls while a stream cannot be had."""
        backoff = Backoff(BACKOFF_FIRST, BACKOFF_MAX)
        while True:
            began = monotonic()
            try:
                await self._stream(peer)
            except Exception as error:  # noqa: BLE001  # no source ends a worker
                self._unheard(peer, error)
            if monotonic() - began > STEADY:
                backoff.reset()
            polled = await self._poll(peer)
            delay = POLL * random.uniform(0.5, 1) if polled else backoff.next()  # noqa: S311  # jitter
            await asyncio.sleep(delay)

    async def _stream(self, peer: GuardedSource) -> None:
        async with aclosing(peer.watch(sorted(self.trust))) as heads:  # type: ignore[type-var]  # a generator
            async for announced in heads:
                peer.heard = None
                self._offer(peer, announced.origin, announced.note, announced.kind)
                await asyncio.sleep(0)  # a flood of heads waits its turn like everything else
        raise Unavailable("ended its stream")

    def _unheard(self, peer: GuardedSource, why: Exception) -> None:
        """Its stream ended, or did not begin."""
        if peer.heard is None:
            for log in self._logs.values():
                log.lost(peer.address)
        peer.heard = str(why) or type(why).__name__

    async def _poll(self, peer: GuardedSource) -> bool:
        """Asks for the heads of the logs that a source names; whether it answered."""
        try:
            for listed in await peer.logs():
                if listed.origin in self.trust:
                    self._offer(peer, listed.origin, await peer.checkpoint(listed.origin), listed.kind)
        except Exception as error:  # noqa: BLE001  # no source ends a worker
            peer.heard = str(error) or type(error).__name__
            return False
        return True

    def _offer(self, peer: GuardedSource, origin: str, note: bytes, kind: int) -> None:
        """What nobody asked for is not kept: a source could send names without end."""
        if origin not in self.trust or kind not in KINDS or self._tasks is None:
            return
        if origin not in self._logs:
            self._logs[origin] = LogTask(self, origin, self.trust[origin])
            self._tasks.create_task(self._follow(self._logs[origin]))
        self._logs[origin].offer(peer.address, note, KINDS[kind])

    async def _follow(self, log: LogTask) -> None:
        """Waits for moves, steps, backs off; for ever."""
        backoff = Backoff(BACKOFF_FIRST, BACKOFF_MAX)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOPPED if log.distrusted else None):
                    await log.moved.wait()
            log.moved.clear()
            delay: float | None = None
            try:
                if log.verifiers:
                    delay = await log.attempt()
                backoff.reset()
            except Exception as error:  # noqa: BLE001  # no log ends a worker
                delay = backoff.next()
                if isinstance(error, Busy):
                    delay = max(delay, error.retry_after * random.uniform(1, 1.5))  # noqa: S311  # jitter
                await self._trouble(log, error)
            if delay is not None:
                await asyncio.sleep(delay)
                log.moved.set()

    async def _trouble(self, log: LogTask, error: Exception) -> None:
        reason = str(error) if isinstance(error, MintmarkError) else f"internal error, {type(error).__name__}: {error}"
        self.on_event("trouble" if isinstance(error, MintmarkError) else "defect", log.origin, reason)
        try:
            await self.store.status.trouble(log.origin, reason, log.offered)
        except MintmarkError as lost:
            self.on_event("trouble", log.origin, str(lost))

    async def _beat(self) -> None:
        """Says that this worker lives, and counts who else does: leases are shared evenly."""
        while True:
            try:
                await self.store.leases.beat(self.name, {address: peer.heard for address, peer in self.peers.items()})
                mine, every, workers = await self.store.leases.shares(self.name, ALIVE)
                self._surplus = mine - -(-every // max(workers, 1))
            except Exception as error:  # noqa: BLE001  # a database that is away for a while ends no worker
                self.on_event("trouble", "", str(error))
            await asyncio.sleep(BEAT)
