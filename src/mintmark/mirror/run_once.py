"""One run that ends: what cron and AWS Lambda call. The same steps as the daemon's, until there or until the deadline.

Success is not "it ended": it is that each log's verified size has reached the head that its source showed at the
start, with the same root.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.aio import Backoff
from mintmark.errors import MintmarkError, Misconfigured, NotAvailableYet, Unavailable
from mintmark.mirror.log_task import LogTask
from mintmark.mirror.worker import BACKOFF_FIRST, BACKOFF_MAX, KINDS
from mintmark.tlog.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from mintmark.mirror.worker import Worker
    from mintmark.sources.guarded import GuardedSource
    from mintmark.tlog.checkpoint import Checkpoint

AT_ONCE = 8  # logs
NOTHING = "no log is followed: none of those that are named has a trusted key here"
GRACE = 2.0  # seconds past the deadline that a last commit may take


@dataclass(frozen=True, slots=True)
class LogResult:
    """How far one log got: `size` of the `target` that its sources showed at the start.

    `lied`: it is stopped, or a source contradicted it and what is left does not lead to the target.
    """

    origin: str
    size: int
    target: int
    error: str | None
    lied: bool = False
    stopped: bool = False

    @property
    def done(self) -> bool:
        """Whether the run did for this log what it was for."""
        return self.error is None and self.size >= self.target


async def once(worker: Worker, seconds: float) -> list[LogResult]:
    """Follows each log of the worker to the head it has now, for at most about `seconds`; how far each got.

    Raises Misconfigured where there is no log to follow, which is not success; Unavailable where no source answers.
    """
    if not worker.trust:
        raise Misconfigured(NOTHING)
    worker.deadline = monotonic() + seconds
    kinds = await _kinds(worker)
    lanes = asyncio.Semaphore(AT_ONCE)

    async def run(origin: str) -> LogResult:
        async with lanes:
            return await _reach(worker, LogTask(worker, origin, worker.trust[origin]), kinds)

    try:
        return list(await asyncio.gather(*(run(origin) for origin in sorted(worker.trust))))
    finally:
        await worker.release()


async def _kinds(worker: Worker) -> dict[tuple[str, str], str]:
    """(source, origin) -> the kind of each log that a source names."""
    kinds: dict[tuple[str, str], str] = {}

    async def ask(peer: GuardedSource) -> MintmarkError | None:
        try:
            named = [log for log in await peer.logs() if log.kind in KINDS]
            kinds.update({(peer.address, log.origin): KINDS[log.kind] for log in named})
        except MintmarkError as error:
            return error
        return None

    failed = await asyncio.gather(*map(ask, worker.peers.values()))
    if all(failed):
        raise failed[0] if failed and failed[0] is not None else Unavailable("no source is configured")
    return kinds


async def _reach(worker: Worker, log: LogTask, kinds: dict[tuple[str, str], str]) -> LogResult:
    target, before = await _offer(worker, log, kinds), await _size(worker, log.origin)
    error: MintmarkError | None = NotAvailableYet(f"no source offers {log.origin}") if target is None else None
    backoff = Backoff(BACKOFF_FIRST, BACKOFF_MAX)
    while target is not None:
        try:
            async with asyncio.timeout(max(worker.deadline - monotonic(), 0) + GRACE):
                delay = await log.attempt()
            error = None
            backoff.reset()
        except TimeoutError:  # no error where the run got somewhere: the next one goes on from there
            if await _size(worker, log.origin) == before:
                error = Unavailable("the time was over before anything was written; give it more")
            break
        except MintmarkError as trouble:
            error, delay = trouble, backoff.next()
        if delay is None or log.stopped is not None or monotonic() + delay > worker.deadline:
            break
        await asyncio.sleep(delay)
    return await _reached(worker, log, target, error)


async def _size(worker: Worker, origin: str) -> int:
    """How far a log is verified; 0 where nothing of it is known."""
    try:
        return (await worker.store.progress(origin)).size
    except MintmarkError:
        return 0


async def _offer(worker: Worker, log: LogTask, kinds: dict[tuple[str, str], str]) -> Checkpoint | None:
    """Asks every source that names the log for its head; the largest that is signed as it should be is the target."""
    heads = []
    for address, peer in worker.peers.items():
        if (kind := kinds.get((address, log.origin))) is None:
            continue
        try:
            note = await peer.checkpoint(log.origin)
            log.offer(address, note, kind)
            heads.append(open_checkpoint(note, log.origin, log.verifiers))
        except MintmarkError:  # a liar is found, and kept as evidence, by the attempt
            continue
    return max(heads, key=lambda head: head.size, default=None)


async def _reached(worker: Worker, log: LogTask, target: Checkpoint | None, error: MintmarkError | None) -> LogResult:
    wanted = target.size if target is not None else 0
    try:
        progress = await worker.store.progress(log.origin)
    except MintmarkError as trouble:
        return LogResult(log.origin, 0, wanted, str(error or trouble))
    reached = target is not None and progress.shown >= wanted
    said = progress.stopped or (None if reached else log.lie or (str(error) if error else None))
    if target is not None and progress.shown == wanted and progress.root != target.root:
        said = said or "the verified root is not the one that was signed"
    size = progress.shown if reached else progress.size
    stopped = progress.stopped is not None
    return LogResult(log.origin, size, wanted, said, stopped or bool(log.distrusted and not reached), stopped)
