"""Requests that wait to be sequenced: bounded, so that a flood meets a refusal at the door and not a growing queue.

A log may have as much waiting as there is room left: one log alone gets half the room, n busy ones 1/(n + 1) each. So
whatever floods some logs, there is room for the others. What waits is taken whole, so nothing waits for more than the
commit that is under way and its own.

A request counts until it is answered. One that comes again while it waits, as retries do, joins the first.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.errors import Busy, Rejected

if TYPE_CHECKING:
    from mintmark.mint.append_request import Appended, AppendRequest

ENTRIES, BYTES = 131_072, 128 * 2**20  # room for all logs together
PASSES = 12  # of the event loop that bring nothing more, before what waits is taken
SOONEST, LATEST = 0.05, 30.0  # seconds to try again after
WEIGHT = 0.3  # of the newest commit in the rate at which a log drains


class Ticket:
    """A request in the pool, and the answer that it will have."""

    __slots__ = ("answer", "request")

    def __init__(self, request: AppendRequest) -> None:
        self.request = request
        self.answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def refuse(self, error: Exception) -> None:
        """Answers with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def settle(self, appended: Appended) -> None:
        """Answers with where the batch stands."""
        if not self.answer.done():
            self.answer.set_result(appended)


@dataclass
class _Queue:
    """One log's requests: those not taken yet, and all that are not answered yet by id."""

    waiting: list[Ticket] = field(default_factory=list)
    open: dict[bytes, Ticket] = field(default_factory=dict)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    entries: int = 0
    size: int = 0
    rate: float = 0.0  # entries a second, when busy


class AppendPool:
    """The requests of all logs of a process, by the log's id."""

    def __init__(self, entries: int = ENTRIES, size: int = BYTES) -> None:
        self._room = [entries, size]
        self._queues: defaultdict[int, _Queue] = defaultdict(_Queue)

    def add(self, log: int, request: AppendRequest) -> asyncio.Future[Appended]:
        """Puts a request at the end of its log's queue; its answer, which is for several callers if it came again.

        Raises:
            Busy: there is no room; says when there will be.
            Rejected: the request id stands for other entries.
        """
        queue = self._queues[log]
        if (held := queue.open.get(request.id)) is not None:
            check_same(held.request.digest, request.digest)
            return held.answer
        if queue.entries + request.count > self._room[0] or queue.size + request.size > self._room[1]:
            raise self._busy(queue)
        ticket = Ticket(request)
        queue.open[request.id] = ticket
        self._count(queue, request, 1)
        ticket.answer.add_done_callback(lambda _: self._leave(queue, request))
        queue.waiting.append(ticket)
        queue.filled.set()
        return ticket.answer

    async def take(self, log: int) -> list[Ticket]:
        """All that waits for a log, oldest first, as soon as something does.

        What has arrived already and is still on its way through the event loop is let in first: no time is waited for,
        and one commit more costs what some forty requests do.
        """
        queue = self._queues[log]
        await queue.filled.wait()
        seen = 0
        while seen < len(queue.waiting):
            seen = len(queue.waiting)
            for _ in range(PASSES):
                await asyncio.sleep(0)
        queue.filled.clear()
        taken, queue.waiting = queue.waiting, []
        return taken

    def drained(self, log: int, entries: int, seconds: float) -> None:
        """Notes how fast a log's requests are answered: that is when a refused one may come again."""
        queue, rate = self._queues[log], entries / max(seconds, 1e-6)
        queue.rate = rate if not queue.rate else (1 - WEIGHT) * queue.rate + WEIGHT * rate

    def _busy(self, queue: _Queue) -> Busy:
        wait = min(max(queue.entries / queue.rate if queue.rate else 1.0, SOONEST), LATEST)
        return Busy(f"{queue.entries} entries wait for this log; send this again in {wait:.2f} s", wait)

    def _count(self, queue: _Queue, request: AppendRequest, sign: int) -> None:
        queue.entries += sign * request.count
        queue.size += sign * request.size
        self._room[0] -= sign * request.count
        self._room[1] -= sign * request.size

    def _leave(self, queue: _Queue, request: AppendRequest) -> None:
        del queue.open[request.id]
        self._count(queue, request, -1)


def check_same(held: bytes, digest: bytes) -> None:
    """Raises Rejected where a request id comes again with other content."""
    if held != digest:
        raise Rejected("this request id stands for other entries; make a new one for each batch", rule="request-id")
