"""One run that ends: what cron and AWS Lambda call. The same steps as the daemon's, until there or until the deadline.

Success is not "it ended": it is that each log's verified size has reached the head that its sources showed at the
start, with the same root.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from mintmark.aio import Backoff
from mintmark.errors import Malformed, MintmarkError, Misconfigured, NotAvailableYet, Unavailable, Untrusted
from mintmark.mirror.worker import MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS
from mintmark.tlog.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from mintmark.formats import LogKind
    from mintmark.mirror.log_task import LogTask
    from mintmark.mirror.worker import Worker
    from mintmark.sources.guarded import GuardedSource
    from mintmark.tlog.checkpoint import Checkpoint

    Kinds = dict[tuple[str, str], LogKind]  # of each log that a source names, by (address, origin)
    Ages = dict[tuple[str, str], float]  # of the evidence that the head that it shows is the newest, where it has any

MAX_CONCURRENT_LOGS = 8
NO_LOGS = "no log is followed: none of those that are named has a trusted key here"
COMMIT_GRACE_SECONDS = 2.0  # past the deadline that a last commit may take


@dataclass(frozen=True, slots=True)
class LogResult:
    """How far one log got: `size` of the `target` that its sources showed at the start.

    `lied`: it is stopped, or a source contradicted it and the others do not lead to the target.
    """

    origin: str
    size: int
    target: int
    error: str | None
    lied: bool = False
    stopped: bool = False

    @property
    def done(self) -> bool:
        """True if the run reached its target."""
        return self.error is None and self.size >= self.target


async def once(worker: Worker, seconds: float) -> list[LogResult]:
    """Follows each log of the worker to the head it has now, for at most about `seconds`; how far each got.

    Raises Misconfigured where there is no log to follow, which is not success; Unavailable where no source answers.
    """
    if not worker.trust:
        raise Misconfigured(NO_LOGS)
    began = monotonic()
    deadline = began + seconds
    kinds, ages = await _ask(worker)
    lanes = asyncio.Semaphore(MAX_CONCURRENT_LOGS)
    followed: list[LogTask] = []

    async def run(origin: str) -> LogResult:
        async with lanes:
            log = worker.log_task(origin)
            followed.append(log)
            return await _run(worker, log, kinds, deadline)

    try:
        return list(await asyncio.gather(*(run(origin) for origin in sorted(worker.trust))))
    finally:
        await worker.tell_once(followed, ages, monotonic() - began)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(deadline - monotonic(), 0) + COMMIT_GRACE_SECONDS):
                await worker.store.settler.finish()
        await worker.release()


async def _ask(worker: Worker) -> tuple[Kinds, Ages]:
    """The logs that the sources name: of which kind each is, and how old the evidence for its head is."""
    kinds: Kinds = {}
    ages: Ages = {}

    async def ask(source: GuardedSource) -> MintmarkError | None:
        try:
            listed = await source.logs()
            kinds.update({(source.address, log.origin): log.kind for log in listed})
            ages.update({(source.address, log.origin): log.age for log in listed if log.age is not None})
        except MintmarkError as error:
            return error
        return None

    failed = await asyncio.gather(*map(ask, worker.sources.values()))
    if all(failed):
        raise failed[0] if failed and failed[0] is not None else Unavailable("no source is configured")
    return kinds, ages


async def _run(worker: Worker, log: LogTask, kinds: Kinds, deadline: float) -> LogResult:
    """What is offered is judged by the daemon's own step, the lies too; what nobody signed is no target."""
    offers = await _offer(worker, log, kinds)
    error = await _reach(worker, log, deadline) if offers.heads else offers.error
    target = offers.target or log.shown.largest  # a cache may have told a lie, and the step gone past it
    if target is None and error is None:
        error = NotAvailableYet(f"no source offers a head of {log.origin} that it signed")
    return await _result(worker, log, target, error)


async def _reach(worker: Worker, log: LogTask, deadline: float) -> MintmarkError | None:
    """Steps until there is no more to do, or until the deadline; the error that the run ended with."""
    before = await _size(worker, log.origin)
    error: MintmarkError | None = None
    backoff = Backoff(MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS)
    while True:
        try:
            async with asyncio.timeout(max(deadline - monotonic(), 0) + COMMIT_GRACE_SECONDS):
                delay = await log.attempt(deadline)
            error = None
            backoff.reset()
        except TimeoutError:  # no error where the run got somewhere: the next one goes on from there
            if await _size(worker, log.origin) == before:
                error = Unavailable("the time was over before anything was written; give it more")
            return error
        except MintmarkError as trouble:
            error, delay = trouble, backoff.next()
        if delay is None or log.stopped is not None or monotonic() + delay > deadline:
            return error
        await asyncio.sleep(delay)


async def _size(worker: Worker, origin: str) -> int:
    """How far a log is verified; 0 where nothing of it is known."""
    try:
        return (await worker.store.progress(origin)).size
    except MintmarkError:
        return 0


class _Offers(NamedTuple):
    """How many sources showed a head; the largest that the log signed; why another source showed none."""

    heads: int
    target: Checkpoint | None
    error: MintmarkError


async def _offer(worker: Worker, log: LogTask, kinds: Kinds) -> _Offers:
    """Hands the head of every source that names the log to its task."""
    offered, signed = 0, []
    error: MintmarkError = NotAvailableYet(f"no source offers {log.origin}")
    for address, source in worker.sources.items():
        if (kind := kinds.get((address, log.origin))) is None:
            continue
        try:
            note = await source.checkpoint(log.origin)
        except MintmarkError as silent:
            error = silent
            continue
        log.offer(address, note, kind)
        offered += 1
        with suppress(Untrusted, Malformed):  # no target, and a lie, as the step finds
            signed.append(open_checkpoint(note, log.origin, log.verifiers))
    return _Offers(offered, max(signed, key=lambda head: head.size, default=None), error)


async def _result(worker: Worker, log: LogTask, target: Checkpoint | None, error: MintmarkError | None) -> LogResult:
    wanted = target.size if target is not None else 0
    try:
        progress = await worker.store.progress(log.origin)
    except MintmarkError as trouble:
        return LogResult(log.origin, 0, wanted, str(error or trouble))
    reached = target is not None and progress.shown >= wanted
    reason = progress.stopped or (None if reached else log.lie or (str(error) if error else None))
    if target is not None and progress.shown == wanted and progress.root != target.root:
        reason = reason or "the verified root is not the one that was signed"
    size = progress.shown if reached else progress.size
    stopped = progress.stopped is not None
    return LogResult(log.origin, size, wanted, reason, stopped or bool(log.distrusted and not reached), stopped)
