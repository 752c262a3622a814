"""A worker: watches its sources and follows each log that moved, a step at a time.

Work is found, not assigned. A checkpoint that a stream brings makes its log *wanted*; the worker that takes the lease first
does the step, the others look again when the lease has run out. So a worker that dies leaves nothing behind but leases of
a few seconds, and one that is added takes its share of what comes next. Leases only save double work: correctness is the
compare-and-swap in `ReadStore.integrate`.

Logs that are nearly up to date have lanes of their own, and a long catch-up yields its lane every second: it never delays
the others by more than a batch.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError
from mintmark.mirror.attempt import Followed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mintmark.mirror.source import Announcement, Source
    from mintmark.store.read_store import ReadStore
    from mintmark.tlog.note import Signer, Verifier

SHORT_LANES, LONG_LANES = 8, 2
BACKOFF, BACKOFF_MOST = 0.2, 10.0  # seconds, doubled a failure, with jitter
BEAT = 5.0  # seconds between heartbeats
KINDS = {1: "opaque", 2: "register"}  # as on the wire


class Worker:
    """Follows the logs of `trust` (origin -> verifiers) from `sources`, in order of preference, into one read database.

    `tell(event, origin, detail)` hears of troubles and contradictions: the shell logs and counts them.
    """

    def __init__(
        self,
        name: str,
        store: ReadStore,
        sources: Sequence[Source],
        trust: Mapping[str, Sequence[Verifier]],
        *,
        cosigner: Signer | None = None,
        tell: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self.name, self.store, self.cosigner, self.tell = name, store, cosigner, tell
        self.deadline = float("inf")  # on the monotonic clock: no step goes on beyond it
        self.short, self.long = asyncio.Semaphore(SHORT_LANES), asyncio.Semaphore(LONG_LANES)
        self._trust = trust
        self._sources = {source.address: source for source in sources}
        self._heard: dict[str, str | None] = dict.fromkeys(self._sources, "not reached yet")
        self._logs: dict[str, Followed] = {}
        self._offered: dict[str, dict[str, Announcement]] = {}  # of logs that are not trusted (yet), by origin and source
        self._tasks: asyncio.TaskGroup

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._beat())
            for source in self._sources.values():
                self._tasks.create_task(self._watch(source))

    def retrust(self, trust: Mapping[str, Sequence[Verifier]]) -> None:
        """Follows these logs and keys from now on; a log that is trusted no more is left as it stands."""
        self._trust = trust
        for origin, log in self._logs.items():
            log.retrust(trust.get(origin, ()))
        for origin in self._offered.keys() & trust.keys():
            for address, announced in self._offered.pop(origin).items():
                self._offer(address, announced)

    async def _watch(self, source: Source) -> None:
        """One stream for all logs of a source; back-off with jitter while it cannot be had."""
        failures = 0
        while True:
            try:
                async for announced in source.watch():
                    failures, self._heard[source.address] = 0, None
                    self._offer(source.address, announced)
                self._heard[source.address] = "ended its stream"
            except MintmarkError as error:
                self._heard[source.address] = str(error)
            for log in self._logs.values():
                log.lost(source.address)
            failures += 1
            await asyncio.sleep(backoff(failures))

    def _offer(self, address: str, announced: Announcement) -> None:
        origin = announced.origin
        if origin not in self._trust:
            self._offered.setdefault(origin, {})[address] = announced
            return
        if origin not in self._logs:
            self._logs[origin] = Followed(self, origin, KINDS[announced.kind], self._trust[origin])
            self._tasks.create_task(self._follow(self._logs[origin]))
        self._logs[origin].offer(address, announced.note)

    async def _follow(self, log: Followed) -> None:
        """Waits for moves, steps, backs off; for ever."""
        failures = 0
        while True:
            await log.moved.wait()
            log.moved.clear()
            delay: float | None = None
            try:
                if log.verifiers:
                    delay = await log.attempt(self._sources)
                failures = 0
            except MintmarkError as error:
                failures += 1
                delay = backoff(failures)
                await self._trouble(log.origin, error)
            if delay is not None:
                await asyncio.sleep(delay)
                log.moved.set()

    async def _trouble(self, origin: str, error: MintmarkError) -> None:
        self.tell("trouble", origin, str(error))
        try:
            await self.store.trouble(origin, str(error))
        except MintmarkError as lost:
            self.tell("trouble", origin, str(lost))

    async def _beat(self) -> None:
        while True:
            try:
                await self.store.beat(self.name, self._heard)
            except MintmarkError as error:
                self.tell("trouble", "", str(error))
            await asyncio.sleep(BEAT)


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(BACKOFF * 2 ** min(failures - 1, 10), BACKOFF_MOST) * random.uniform(0.5, 1)  # noqa: S311  # jitter
