"""A worker: watches its sources and follows each log that moved, a step at a time.

Work is found, not assigned. A checkpoint that a stream brings makes its log *wanted*; the worker that takes the lease
first does the step, the others look again when the lease has run out. So a worker that dies leaves nothing behind but
leases of a few seconds. One that is added gets its share: a worker with more than that lets a lease go instead of
renewing it. Leases only save double work: correctness is the compare-and-swap in `ReadStore.commit_batch`.

Logs that are nearly up to date have lanes of their own, and a long catch-up yields its lane every second: it never
delays the others by more than a batch. What goes wrong with one log or one source, a defect of ours included, is an
event, and tried again later; it ends neither the worker nor another log.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.aio import Backoff
from mintmark.errors import Busy, MintmarkError, Unavailable
from mintmark.formats import FORMATS
from mintmark.mirror.catch_up import CatchUp
from mintmark.mirror.log_task import MIN_LEASE_SECONDS, STEP_SECONDS, STOPPED_SECONDS, LogTask
from mintmark.mirror.pipeline import ForegroundGate
from mintmark.mirror.source_words import FRESH_SECONDS, SourceWords, head_of, offered
from mintmark.sources.guarded import ANSWER_SECONDS, GuardedSource
from mintmark.sources.source import Confirmation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from mintmark.formats import LogKind
    from mintmark.mirror.log_task import EventSink
    from mintmark.mirror.source_words import LogLag
    from mintmark.sources.source import Announcement, ListedLog, Source
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.note import Signer, Verifier

MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.2, 10.0
MAX_LOG_BACKOFF_SECONDS = 5.0  # of one log: its database is back sooner than a source
STEADY_SECONDS = 10.0  # of a stream, after which its end is a failure like the first
POLL_INTERVAL_SECONDS = 2.0  # between looks at a source that answers and gives no stream
ASK_INTERVAL_SECONDS = 5.0  # between questions to a server whose stream confirms nothing: it is older than that
HEARTBEAT_SECONDS = 1.0  # between heartbeats
ALIVE_SECONDS = 6.0  # after its last heartbeat that a worker is counted
RETRY_LEASE_SECONDS = 0.3  # at most, from the end of another's lease to our try
NO_KINDS: Mapping[str, LogKind] = {}


class Leases:
    """The leases of one worker, shared evenly with the others: the `LeasePolicy` of its logs."""

    def __init__(self, worker: str, store: ReadStore) -> None:
        self._worker, self._store = worker, store
        self._surplus = 0  # leases that others should have

    async def claim(self, log: int, seconds: float) -> float:
        """Takes or renews a lease: 0. Else the seconds after which to try again: also where others should have it."""
        if self._surplus > 0:
            self._surplus -= 1
            return MIN_LEASE_SECONDS + RETRY_LEASE_SECONDS
        wait = await self._store.leases.claim(log, self._worker, seconds)
        return wait + random.uniform(0, RETRY_LEASE_SECONDS) if wait else 0.0  # noqa: S311  # jitter

    async def share(self) -> None:
        """Counts who else lives, and how many leases others should have."""
        mine, all_, workers = await self._store.leases.shares(self._worker, ALIVE_SECONDS)
        self._surplus = mine - -(-all_ // max(workers, 1))

    async def release(self) -> None:
        """Gives the leases back, and waits until the heads of the last commits are announced."""
        async with asyncio.timeout(1):
            await self._store.leases.release(self._worker)
            await self._store.notifier.flush()


class Worker:
    """Follows the logs of `trust` (origin -> verifiers) from `sources`, in order of preference, into one read database.

    `kinds` are of the logs whose kind no source is asked for. `on_event(event, origin, detail)` hears of troubles and
    contradictions: the shell logs and counts them. A source is waited for `answer_seconds`; a long catch-up keeps its
    lane for `step_seconds`; what a source confirms holds for `fresh_for` seconds.
    """

    def __init__(
        self,
        name: str,
        store: ReadStore,
        sources: Sequence[Source],
        trust: Mapping[str, Sequence[Verifier]],
        *,
        kinds: Mapping[str, LogKind] = NO_KINDS,
        cosigners: Sequence[Signer] = (),
        on_event: EventSink = lambda *_: None,
        answer_seconds: float = ANSWER_SECONDS,
        step_seconds: float = STEP_SECONDS,
        fresh_for: float = FRESH_SECONDS,
    ) -> None:
        self.store, self.trust, self._kinds = store, trust, kinds
        self._cosigners, self._on_event = cosigners, on_event
        self._answer_seconds, self._step_seconds = answer_seconds, step_seconds
        self.sources = {source.address: GuardedSource(source, answer_seconds) for source in sources}
        self._leases, self._gate = Leases(name, store), ForegroundGate()
        self._words = SourceWords(name, store.freshness, fresh_for)
        self._logs: dict[str, LogTask] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._watches: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Works until cancelled, and gives its leases back."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._beat())
                for log in self._logs.values():  # of a run before this one, which failed
                    log.moved.set()
                    self._tasks.create_task(self._follow(log))
                self._watch_all()
        finally:
            self._tasks = None
            await self.release()

    async def release(self) -> None:
        """Gives the leases back, if the database can be reached: they end by themselves."""
        try:
            await self._leases.release()
            await self._words.end()
        except (MintmarkError, TimeoutError):
            self._on_event("trouble", "", "leases were not given back; they end by themselves")

    def follow(
        self,
        trust: Mapping[str, Sequence[Verifier]],
        sources: Sequence[Source],
        kinds: Mapping[str, LogKind] = NO_KINDS,
    ) -> None:
        """Follows these logs from these sources from now on; a log that is trusted no more is left as it stands."""
        guarded = {s.address: self.sources.get(s.address) or GuardedSource(s, self._answer_seconds) for s in sources}
        self.trust, self.sources, self._kinds = trust, guarded, kinds
        for origin, log in self._logs.items():
            log.kind = kinds.get(origin)
            log.follow(trust.get(origin, ()), guarded)
        self._watch_all()

    def lags(self) -> list[LogLag]:
        """How far behind each log is that is followed, for the metrics."""
        return self._words.lags([log for origin, log in self._logs.items() if origin in self.trust])

    async def tell_once(self, logs: Collection[LogTask], ages: Mapping[tuple[str, str], float], seconds: float) -> None:
        """Notes what a run was shown, and what was confirmed so many seconds ago: the age of the evidence for the head
        that a source showed, by (address, origin).
        """
        try:
            await self._words.tell_once(logs, ages, seconds)
        except MintmarkError as error:
            self._on_event("trouble", "", f"it was not noted what the sources confirmed: {error}")

    def log_task(self, origin: str) -> LogTask:
        """The task that follows one of the trusted logs."""
        verifiers, store = self.trust[origin], self.store
        catch_up = CatchUp(store, origin, verifiers, self._cosigners, self._gate)
        return LogTask(
            origin, verifiers, self.sources, store, self._leases, catch_up, self._gate, self._on_event,
            self._step_seconds, self._kinds.get(origin),
        )  # fmt: skip

    def _watch_all(self) -> None:
        """Opens a stream for each source, for the logs that are trusted now."""
        for task in self._watches:
            task.cancel()
        sources = self.sources.values() if self.trust else ()
        self._watches = [self._tasks.create_task(self._watch(each)) for each in sources] if self._tasks else []

    async def _watch(self, source: GuardedSource) -> None:
        """Keeps one stream open for all logs of a source; polls while a stream cannot be had."""
        backoff = Backoff(MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS)
        while True:
            began = monotonic()
            try:
                await self._stream(source)
            except Exception as error:  # noqa: BLE001  # no source ends a worker
                self._lost(source, error)
            if monotonic() - began > STEADY_SECONDS:
                backoff.reset()
            answered = await self._poll(source)
            delay = POLL_INTERVAL_SECONDS * random.uniform(0.5, 1) if answered else backoff.next()  # noqa: S311  # jitter
            await asyncio.sleep(delay)

    async def _stream(self, source: GuardedSource) -> None:
        asking = asyncio.create_task(self._ask(source))
        try:
            async with aclosing(source.watch(sorted(self.trust))) as heads:  # type: ignore[type-var]  # a generator
                async for said in heads:
                    source.stream_error = None
                    if isinstance(said, Confirmation):
                        asking.cancel()
                        self._words.hear(source.address, said)
                    else:
                        self._offer(source, said)
                    await asyncio.sleep(0)  # a flood of heads waits its turn like everything else
        finally:
            asking.cancel()
        raise Unavailable("ended its stream")

    async def _ask(self, source: GuardedSource) -> None:
        """Has a source confirm by its answers what its stream showed, until its stream does."""
        while True:
            await asyncio.sleep(ASK_INTERVAL_SECONDS)
            began = monotonic()
            try:
                listed = {log.origin: log for log in await source.logs()}
            except Exception:  # noqa: BLE001, S112  # no source ends a worker; its stream says what is wrong
                continue
            heads = {origin: head_of(log, source.address) for origin, log in self._logs.items() if origin in listed}
            same = [listed[o] for o, head in heads.items() if head is not None and head.size == listed[o].size]
            self._words.hear(source.address, _confirmation(same, self._logs.keys(), monotonic() - began))

    def _lost(self, source: GuardedSource, error: Exception) -> None:
        """Its stream ended, or did not begin."""
        if source.stream_error is None:
            for log in self._logs.values():
                log.lost(source.address)
        source.stream_error = str(error) or type(error).__name__

    async def _poll(self, source: GuardedSource) -> bool:
        """Asks for the heads of the logs that a source names; True if it answered."""
        began = monotonic()
        try:
            named = [log for log in await source.logs() if log.origin in self.trust]
            for listed in named:
                self._offer(source, listed.announce(await source.checkpoint(listed.origin)))
        except Exception as error:  # noqa: BLE001  # no source ends a worker
            source.stream_error = str(error) or type(error).__name__
            return False
        self._words.hear(source.address, _confirmation(named, self._logs.keys(), monotonic() - began))
        return True

    def _offer(self, source: GuardedSource, announced: Announcement) -> None:
        """Hands a head to its log's task. Others than ours are dropped: a source could send names without end."""
        origin = announced.origin
        if origin not in self.trust or announced.kind not in FORMATS or self._tasks is None:
            return
        if origin not in self._logs:
            self._logs[origin] = self.log_task(origin)
            self._tasks.create_task(self._follow(self._logs[origin]))
        self._logs[origin].offer(source.address, announced.note, announced.kind)

    async def _follow(self, log: LogTask) -> None:
        """Waits for moves, steps, backs off; for ever."""
        backoff = Backoff(MIN_BACKOFF_SECONDS, MAX_LOG_BACKOFF_SECONDS)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOPPED_SECONDS if log.distrusted else None):
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
        self._on_event("trouble" if isinstance(error, MintmarkError) else "defect", log.origin, reason)
        try:
            await self.store.status.trouble(log.origin, reason, offered(log))
        except MintmarkError as lost:
            self._on_event("trouble", log.origin, str(lost))

    async def _beat(self) -> None:
        while True:
            try:
                await self._words.tell(self.sources, self._logs.values())
                await self._leases.share()
            except Exception as error:  # noqa: BLE001  # a database that is away for a while ends no worker
                self._on_event("trouble", "", str(error))
            await asyncio.sleep(HEARTBEAT_SECONDS)


def _confirmation(named: Sequence[ListedLog], origins: AbstractSet[str], seconds: float) -> Confirmation:
    """What an answer of so many seconds ago confirms of these logs, where it names the heads that were shown."""
    ages = {log.origin: log.age for log in named if log.age is not None}
    return Confirmation(max(ages.values(), default=0.0) + seconds, frozenset(origins - ages.keys()))
