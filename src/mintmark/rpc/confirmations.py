"""What a server can say for the heads that it serves, looked up every second: its streams and its health tell it.

A mint vouches for what its database holds now, where it can sign; a mirror for what its own sources confirm, with the
age of their word: freshness does not grow along a chain. Where this cannot be looked up, nothing is confirmed.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from mintmark.rpc.server import ServiceHealth

CONFIRM_SECONDS = 1.0  # between looks
LOOK_SECONDS = 5.0  # that one may take: a database that hangs is as good as gone

_log = logging.getLogger(__name__)


class ConfirmedHeads(Protocol):
    """What can be said of all logs here."""

    @property
    def age(self) -> float:
        """The seconds since the heads were known to be the newest."""

    @property
    def unconfirmed(self) -> Collection[str]:
        """The origins of which this is not said."""

    @property
    def silent(self) -> bool:
        """True if nothing can be said of any of them."""


class LastLook(NamedTuple):
    """What was found, and when (monotonic)."""

    heads: ConfirmedHeads
    at: float

    @property
    def age(self) -> float:
        """The seconds since the heads were known to be the newest."""
        return monotonic() - self.at + self.heads.age


class Confirmations:
    """Looks with `look`, which first tells the streams of every head that moved."""

    def __init__(self, look: Callable[[], Awaitable[ConfirmedHeads]]) -> None:
        self._look = look
        self.last: LastLook | None = None

    async def run(self, health: ServiceHealth) -> None:
        """Looks until cancelled, and reports whether there is anything to be served."""
        while True:
            began = monotonic()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    self.last = LastLook(await self._look(), began)
            except (MintmarkError, TimeoutError):
                self.last = None
            except Exception:  # noqa: BLE001  # logged; nothing is confirmed until the next look
                _log.exception("defect in a look at the heads")
                self.last = None
            await health.report(serving=self.last is not None and not self.last.heads.silent)
            await asyncio.sleep(CONFIRM_SECONDS)
