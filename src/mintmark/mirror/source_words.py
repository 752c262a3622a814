"""What a worker's sources confirm, and how it is told: with each heartbeat, in one row for each source.

A source confirms the heads that it showed before. So, at each heartbeat, the words that were heard are taken first;
then the heads that were shown and are not complete here are noted; then the words are written. No log is called current
before all that was shown of it counts. Which logs a source confirms is written when it changes: for a thousand logs
that do not move, nothing is.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from mintmark.store.mirror.freshness import Word

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mintmark.mirror.log_task import LogTask
    from mintmark.sources.guarded import GuardedSource
    from mintmark.sources.source import Confirmation
    from mintmark.store.mirror.freshness import FreshnessStore
    from mintmark.tlog.checkpoint import Checkpoint

FRESH_SECONDS = 10.0  # that a confirmation holds, where nothing else is configured
RETIRE_INTERVAL_SECONDS = 10.0  # between looks for workers that are gone


class LogLag(NamedTuple):
    """A log as its worker knows it: the entries that are known and not shown here, and the seconds since a source
    confirmed that these are all; None: never.
    """

    origin: str
    entries: int
    age: float | None


class _Heard(NamedTuple):
    at: float  # monotonic: since when the heads were known to be the newest
    unconfirmed: frozenset[str]


class SourceWords:
    """The words of one worker's sources."""

    def __init__(self, worker: str, store: FreshnessStore, fresh_for: float) -> None:
        self._worker, self._store, self._fresh_for = worker, store, fresh_for
        self._heard: dict[str, _Heard] = {}  # by address
        self._taken: dict[str, _Heard] = {}  # those that `_told` is of
        self._told: dict[str, frozenset[int]] = {}  # the logs that each confirms, as the database has it
        self._retired = monotonic()

    def hear(self, address: str, word: Confirmation) -> None:
        """Takes a source's confirmation of the heads that it showed."""
        self._heard[address] = _Heard(monotonic() - word.age, word.unconfirmed)

    async def tell(self, sources: Mapping[str, GuardedSource], logs: Collection[LogTask]) -> None:
        """Writes a heartbeat: what is heard of each source, and the heads that are not complete here."""
        heard = {address: self._heard[address] for address in sources if address in self._heard}
        if behind := {log.origin: offered(log) for log in logs if lag(log)}:
            await self._store.offer(behind)
        new = {address: word for address, word in heard.items() if word is not self._taken.get(address)}
        confirmed = {address: _confirmed(address, word, logs) for address, word in new.items()}
        gone = [(address, log) for address, ids in confirmed.items() for log in self._told.get(address, ids) - ids]
        words = {address: Word(source.stream_error, _age(heard.get(address))) for address, source in sources.items()}
        for address in await self._store.beat(self._worker, words, gone, self._fresh_for):
            self._told.pop(address, None)
            self._taken.pop(address, None)
        added = [(a, log) for a, ids in confirmed.items() for log in ids - self._told.get(a, frozenset())]
        if added:
            await self._store.confirm(self._worker, added)
        self._told |= confirmed
        self._taken |= new
        await self._retire()

    async def tell_once(self, logs: Collection[LogTask], ages: Mapping[tuple[str, str], float], seconds: float) -> None:
        """Writes what a run found: the heads that are not complete here, and what was confirmed when it began."""
        if behind := {log.origin: offered(log) for log in logs if lag(log)}:
            await self._store.offer(behind)
        named = {log.origin: log for log in logs}
        confirmed: dict[str, float] = {}
        for (address, origin), age in ages.items():
            if origin in named and head_of(named[origin], address) is not None:
                confirmed[origin] = min(age + seconds, confirmed.get(origin, inf))
        if confirmed:
            await self._store.confirm_once(confirmed, self._fresh_for)

    async def end(self) -> None:
        """Withdraws the words; what was confirmed stays true for as long as it was to be."""
        await self._store.retire(self._worker)

    def lags(self, logs: Collection[LogTask]) -> list[LogLag]:
        """What is known of the logs now."""
        return [LogLag(log.origin, lag(log), self._log_age(log)) for log in logs]

    def _log_age(self, log: LogTask) -> float | None:
        ages = [
            monotonic() - word.at
            for address, word in self._heard.items()
            if log.origin not in word.unconfirmed and head_of(log, address) is not None
        ]
        return min(ages, default=None)

    async def _retire(self) -> None:
        if monotonic() - self._retired > RETIRE_INTERVAL_SECONDS:
            self._retired = monotonic()
            await self._store.retire()


def head_of(log: LogTask, address: str) -> Checkpoint | None:
    """The newest head that a source shows; None where the log did not sign it, or the source is distrusted."""
    shown = log.shown.get(address) if address not in log.distrusted else None
    return shown.newest(log.origin, log.verifiers) if shown is not None else None


def offered(log: LogTask) -> int:
    """The size of the largest head that a source shows, opened or not; 0: none."""
    heads = [head_of(log, shown.address) for shown in log.shown]
    return max((head.size for head in heads if head is not None), default=0)


def lag(log: LogTask) -> int:
    """The number of entries that a source showed and that are not complete here, as far as this worker knows."""
    return max(offered(log) - max(log.progress.shown if log.progress is not None else 0, 0), 0)


def _confirmed(address: str, word: _Heard, logs: Collection[LogTask]) -> frozenset[int]:
    """The ids of the logs that a source confirms: it showed a head that the log signed, and made no exception."""
    return frozenset(
        log.progress.id
        for log in logs
        if log.progress is not None and log.origin not in word.unconfirmed and head_of(log, address) is not None
    )


def _age(word: _Heard | None) -> float | None:
    return None if word is None else monotonic() - word.at
