"""How fresh each log is that is shown here: read from the database every two seconds, beside the requests.

    current            a source confirmed within the last seconds that there is nothing newer
    behind; lag=N      N entries are known that are not shown yet
    unknown; since=T   no source has said so since T: there may be anything
    stopped            the log contradicted itself, or no source of it is left to believe; a human must decide

This is the header `Mintmark-Freshness`, a line on every page, and the member `freshness` of a register's JSON. Where
the database does not answer, what was read last grows old, and then it is unknown.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import structlog

from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mintmark.store.mirror.freshness import Contradiction, FreshnessStore, Standing, State

READ_INTERVAL_SECONDS = 2.0

_log = structlog.get_logger("mintmark.api")


@dataclass(frozen=True, slots=True)
class LogFreshness:
    """The state of a log. `since` is when it was last confirmed, "" where that is not known; `reason` and
    `contradictions` say why it is stopped.
    """

    state: State
    lag: int = 0
    since: str = ""
    reason: str = ""
    contradictions: Sequence[Contradiction] = ()

    @property
    def header(self) -> str:
        """The value of `Mintmark-Freshness`."""
        if self.state == "behind":
            return f"behind; lag={self.lag}"
        return f"unknown; since={self.since}" if self.state == "unknown" and self.since else self.state

    @property
    def tag(self) -> str:
        """Its part of an entity tag."""
        return {
            "behind": f"b{self.lag}",
            "unknown": f"u{self.since.replace(':', '')}",
            "stopped": f"s{len(self.contradictions)}",
        }.get(self.state, "c")


class _Known(NamedTuple):
    size: int
    held: bool  # the last confirmation did
    freshness: LogFreshness


class FreshnessCache:
    """The freshness of every log of one read database, as it was read last."""

    def __init__(self, store: FreshnessStore) -> None:
        self._store = store
        self._standings: dict[str, Standing] = {}  # by the log's name
        self._contradictions: dict[int, list[Contradiction]] = {}  # of stopped logs, by id
        self._read_at = monotonic()
        self._known: dict[str, _Known] = {}  # what was asked for since, by the log's name

    async def run(self) -> None:
        """Reads until cancelled."""
        while True:
            await asyncio.sleep(READ_INTERVAL_SECONDS)
            try:
                await self.read()
            except MintmarkError as error:
                _log.warning("freshness not read", detail=str(error))
            except Exception:  # noqa: BLE001  # logged; what was read grows old
                _log.exception("freshness not read")

    async def read(self) -> None:
        """Reads it anew. Raises Unavailable."""
        began = monotonic()
        standings = await self._store.standings()
        stopped = [standing.log for standing in standings if standing.stopped is not None]
        kept: defaultdict[int, list[Contradiction]] = defaultdict(list)
        for found in await self._store.contradictions(stopped) if stopped else ():
            kept[found.log].append(found)
        self._standings = {standing.name: standing for standing in standings}
        self._contradictions, self._read_at = kept, began
        self._known.clear()

    def of(self, name: str, size: int) -> LogFreshness:
        """The freshness of a log of which `size` entries are shown here."""
        if (standing := self._standings.get(name)) is None:
            return LogFreshness("unknown")
        elapsed = monotonic() - self._read_at
        known = self._known.get(name)
        if known is None or known.size != size or known.held != (elapsed < standing.seconds_left):
            found = self._find(standing, size, elapsed)
            known = self._known[name] = _Known(size, elapsed < standing.seconds_left, found)
        return known.freshness

    def _find(self, standing: Standing, size: int, elapsed: float) -> LogFreshness:
        state, lag, since = standing.freshness(size, elapsed)
        reason, contradictions = standing.stopped or "", self._contradictions.get(standing.log, ())
        return LogFreshness(state, lag, timestamp(since), reason, contradictions)


def timestamp(moment: datetime) -> str:
    """A time as it is shown: 2026-03-01T08:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
