"""Requests that wait to be sequenced: bounded, so that a flood meets a refusal and not a growing queue.

A log may have as much waiting as there is room left: one log alone gets half the room, n busy ones 1/(n + 1) each. So
there is room for the other logs, however many requests come for one. All that waits for a log is taken at once, so
nothing waits for more than the commit that is under way and its own.

A request counts until it is answered. One that comes again meanwhile, as retries do, joins the first.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Busy, Conflict, MintmarkError, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mintmark.mint.validation import AppendRequest
    from mintmark.store.log.model import Head
    from mintmark.store.mint.mint_store import AppendReceipt

MAX_WAITING_ENTRIES, MAX_WAITING_BYTES = 131_072, 128 * 2**20  # of all logs together
IDLE_PASSES = 12  # of the event loop that bring no new request, before what waits is taken
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.05, 30.0
NEWEST_COMMIT_WEIGHT = 0.3  # in the rate at which a log's requests are answered


class AppendResult(NamedTuple):
    """The place of a batch in its log, a checkpoint that covers it, and what the legacy mode admitted."""

    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count, which says nothing about a batch
    note: bytes
    warnings: Sequence[str] = ()


class PendingAppend:
    """A request in the pool, and the answer that its callers wait for."""

    __slots__ = ("answer", "request")

    def __init__(self, request: AppendRequest) -> None:
        self.request = request
        self.answer: asyncio.Future[AppendResult] = asyncio.get_running_loop().create_future()

    def refuse(self, error: Exception) -> None:
        """Answers with an error; changes nothing where there is an answer already."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def settle(self, result: AppendResult) -> None:
        """Answers with the batch's place; changes nothing where there is an answer already."""
        if not self.answer.done():
            self.answer.set_result(result)


@dataclass
class _Queue:
    """One log's requests: those not taken yet, and all that are not answered yet, by id."""

    waiting: list[PendingAppend] = field(default_factory=list)
    unanswered: dict[bytes, PendingAppend] = field(default_factory=dict)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    entries: int = 0
    size: int = 0
    rate: float = 0.0  # entries a second, when busy


class AppendPool:
    """The requests of all logs of a process, by the log's id; at most so many entries and bytes of them."""

    def __init__(self, entries: int = MAX_WAITING_ENTRIES, size: int = MAX_WAITING_BYTES) -> None:
        self._room = [entries, size]
        self._queues: defaultdict[int, _Queue] = defaultdict(_Queue)

    def add(self, log: int, request: AppendRequest) -> asyncio.Future[AppendResult]:
        """Puts a request at the end of its log's queue; its answer, for all who sent the same request.

        Raises:
            Busy: there is no room; says when there will be.
            Rejected: the request id stands for other entries.
        """
        queue = self._queues[log]
        if (held := queue.unanswered.get(request.id)) is not None:
            check_same(held.request.digest, request.digest)
            return held.answer
        if queue.entries + request.count > self._room[0] or queue.size + request.size > self._room[1]:
            raise _busy(queue)
        append = PendingAppend(request)
        queue.unanswered[request.id] = append
        self._count(queue, request, 1)
        append.answer.add_done_callback(lambda _: self._remove(queue, request))
        queue.waiting.append(append)
        queue.filled.set()
        return append.answer

    async def take(self, log: int) -> list[PendingAppend]:
        """All that waits for a log, oldest first, as soon as there is any.

        Requests that have arrived and are still on their way through the event loop are let in first. That waits for
        no timer, and makes fewer commits: one more costs as much as some forty requests do.
        """
        queue = self._queues[log]
        await queue.filled.wait()
        seen = 0
        while seen < len(queue.waiting):
            seen = len(queue.waiting)
            for _ in range(IDLE_PASSES):
                await asyncio.sleep(0)
        queue.filled.clear()
        taken, queue.waiting = queue.waiting, []
        return taken

    def record_commit(self, log: int, entries: int, seconds: float) -> None:
        """Notes how fast a log's requests are answered: it tells when a refused one may come again."""
        queue, rate = self._queues[log], entries / max(seconds, 1e-6)
        weight = NEWEST_COMMIT_WEIGHT if queue.rate else 1.0
        queue.rate = (1 - weight) * queue.rate + weight * rate

    def _count(self, queue: _Queue, request: AppendRequest, sign: int) -> None:
        queue.entries += sign * request.count
        queue.size += sign * request.size
        self._room[0] -= sign * request.count
        self._room[1] -= sign * request.size

    def _remove(self, queue: _Queue, request: AppendRequest) -> None:
        del queue.unanswered[request.id]
        self._count(queue, request, -1)


def _busy(queue: _Queue) -> Busy:
    seconds = queue.entries / queue.rate if queue.rate else 1.0
    wait = min(max(seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)
    return Busy(f"{queue.entries} entries wait for this log; send this again in {wait:.2f} s", wait)


def settle_known(append: PendingAppend, receipt: AppendReceipt, head: Head) -> None:
    """Answers a request that is in the log already. Raises Conflict where it is in a head that was not read here."""
    if receipt.first + receipt.count > head.size:
        raise Conflict("another mint moved this log")
    try:
        check_same(receipt.digest, append.request.digest)
    except MintmarkError as error:
        append.refuse(error)
    else:
        append.settle(AppendResult(receipt.first, receipt.count, head.note))


def refuse_all(appends: Iterable[PendingAppend], error: Exception) -> None:
    """Answers each with an error."""
    for append in appends:
        append.refuse(error)


def check_same(held: bytes, digest: bytes) -> None:
    """Raises Rejected where a request id comes again with other content."""
    if held != digest:
        raise Rejected("this request id stands for other entries; make a new one for each batch", rule="request-id")
