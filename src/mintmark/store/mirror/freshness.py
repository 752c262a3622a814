"""How fresh the copies in a read database are: evidence, not silence.

A log is *current* while a source that a worker hears has confirmed its head within the last seconds, and nothing more
is known than is shown here. It is *behind* by what is known more, *unknown* since the last confirmation where that is
too long ago, and *stopped* where a human must decide. `heartbeat.fresh_for` says how long a confirmation holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from mintmark.store.connection.sql import load_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from mintmark.store.connection.pool import Pool

    State = Literal["current", "behind", "unknown", "stopped"]

SILENT_SECONDS = 60.0  # since its last heartbeat that a worker's are kept

SQL = load_sql(__package__, "freshness")


class Freshness(NamedTuple):
    """The state of a log, for those who read it. `lag`: entries that are known and not shown; `since`: the last
    confirmation.
    """

    state: State
    lag: int
    since: datetime


class Word(NamedTuple):
    """What a worker hears of a source: what ended its stream (None: it is open), and the seconds since it confirmed the
    heads that it showed (None: never).
    """

    error: str | None
    age: float | None


class Standing(NamedTuple):
    """What the database knew of a log: its head, the largest head that a source showed, the last confirmation, and the
    seconds that this held from then on.
    """

    log: int
    origin: str
    name: str
    head: int
    known: int
    stopped: str | None
    confirmed: datetime
    seconds_left: float

    def freshness(self, head: int, elapsed: float = 0.0) -> Freshness:
        """The state of a copy that shows `head`, so many seconds later."""
        lag = max(self.known - head, 0)
        if self.stopped is not None:
            return Freshness("stopped", lag, self.confirmed)
        if self.seconds_left <= elapsed:
            return Freshness("unknown", lag, self.confirmed)
        return Freshness("behind" if lag else "current", lag, self.confirmed)


class Contradiction(NamedTuple):
    """What a log is stopped for: two notes that cannot both be true, or one and why it cannot."""

    log: int
    kind: str
    reason: str
    at: datetime
    notes: Sequence[bytes]


class Confirmable(NamedTuple):
    """What those may be told who follow these copies: the heads are the newest as of `age` seconds ago, but for the
    origins `unconfirmed`. `silent`: nothing was heard of any log.
    """

    age: float
    unconfirmed: frozenset[str]
    silent: bool


class FreshnessStore:
    """The confirmations of one read database. Raises Unavailable where it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(
        self, worker: str, words: Mapping[str, Word], gone: Collection[tuple[str, int]], fresh_for: float
    ) -> set[str]:
        """Notes that a worker lives and what it hears of its sources, by address; a confirmation holds `fresh_for`
        seconds. `gone` are the (source, log) that are not confirmed any more.

        Returns the sources of which nothing was known here, nor which logs they confirm.
        """
        values = {
            "worker": worker,
            "sources": list(words),
            "errors": [word.error for word in words.values()],
            "ages": [word.age for word in words.values()],
            "gone_sources": [source for source, _ in gone],
            "gone_logs": [log for _, log in gone],
            "fresh_for": fresh_for,
        }
        rows = await self._pool.fetch(SQL["beat"], values)
        return {source for source, made in rows if made}

    async def confirm(self, worker: str, logs: Collection[tuple[str, int]]) -> None:
        """Notes that the (source, log) are confirmed from now on, whenever the source confirms what it showed."""
        values = {"worker": worker, "sources": [source for source, _ in logs], "logs": [log for _, log in logs]}
        await self._pool.execute(SQL["confirm"], values)

    async def confirm_once(self, ages: Mapping[str, float], fresh_for: float) -> None:
        """Notes that the heads of these origins were confirmed so many seconds ago, by a run that ends."""
        values = {"origins": list(ages), "ages": list(ages.values()), "fresh_for": fresh_for}
        await self._pool.execute(SQL["confirm_once"], values)

    async def retire(self, worker: str = "") -> None:
        """Deletes the heartbeats of a worker that ends, and of those that were not heard for long; keeps the time of
        their last word.
        """
        await self._pool.execute(SQL["retire"], {"worker": worker, "seconds": SILENT_SECONDS})

    async def offer(self, sizes: Mapping[str, int]) -> None:
        """Notes the sizes of signed heads that sources showed, by origin, where they are larger than what is shown."""
        await self._pool.execute(SQL["offer"], {"origins": list(sizes), "sizes": list(sizes.values())})

    async def standings(self) -> list[Standing]:
        """Every log that is followed here."""
        return [Standing(*row) for row in await self._pool.fetch(SQL["standings"])]

    async def confirmable(self) -> Confirmable:
        """What those may be told who follow these copies."""
        ((age, unconfirmed, silent),) = await self._pool.fetch(SQL["confirmable"])
        return Confirmable(age, frozenset(unconfirmed), silent)

    async def contradictions(self, logs: Collection[int]) -> list[Contradiction]:
        """The evidence against these logs about which nobody has decided."""
        return [Contradiction(*row) for row in await self._pool.fetch(SQL["contradictions"], {"logs": list(logs)})]
