"""One run that ends: what cron and AWS Lambda call. The same steps as the daemon's, until there or until the deadline.

Success is not "it ended": it is that each log's verified size has reached the head that its source showed at the start, with
the same root.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError, NotYet, Unavailable
from mintmark.mirror.attempt import Followed
from mintmark.mirror.worker import KINDS, Worker, backoff
from mintmark.tlog.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.mirror.source import Source
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

AT_ONCE = 4  # logs


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one log got: `size` of the `target` that its sources showed at the start."""

    origin: str
    size: int
    target: int
    error: str | None

    @property
    def done(self) -> bool:
        """Whether the run did for this log what it was for."""
        return self.error is None and self.size >= self.target


async def once(
    worker: Worker, sources: Sequence[Source], trust: Mapping[str, Sequence[Verifier]], seconds: float
) -> list[Reached]:
    """Follows each log of `trust` to the head it has now, for at most about `seconds`; how far each got."""
    worker.deadline = monotonic() + seconds
    kinds = await _kinds(sources)
    lanes = asyncio.Semaphore(AT_ONCE)

    async def run(origin: str) -> Reached:
        async with lanes:
            return await _reach(worker, sources, Followed(worker, origin, kinds.get(origin, "opaque"), trust[origin]))

    return list(await asyncio.gather(*(run(origin) for origin in sorted(trust))))


async def _kinds(sources: Sequence[Source]) -> dict[str, str]:
    """The kind of each log that a source names; Unavailable where none answers."""
    kinds: dict[str, str] = {}
    failed: MintmarkError = Unavailable("no source is configured")
    answered = False
    for source in sources:
        try:
            for listed in await source.logs():
                kinds.setdefault(listed.origin, KINDS[listed.kind])
            answered = True
        except MintmarkError as error:
            failed = error
    if not answered:
        raise failed
    return kinds


async def _reach(worker: Worker, sources: Sequence[Source], log: Followed) -> Reached:
    target = await _offer(sources, log)
    error: MintmarkError | None = NotYet(f"no source offers {log.origin}") if target is None else None
    by_address = {source.address: source for source in sources}
    failures = 0
    while target is not None:
        try:
            delay = await log.attempt(by_address)
            error, failures = None, 0
        except MintmarkError as trouble:
            error, failures = trouble, failures + 1
            delay = backoff(failures)
        if delay is None or monotonic() + delay > worker.deadline:
            break
        await asyncio.sleep(delay)
    return await _reached(worker, log.origin, target, error)


async def _offer(sources: Sequence[Source], log: Followed) -> Checkpoint | None:
    """Asks every source for its head; the largest that is signed as it should be is the target."""
    heads = []
    for source in sources:
        try:
            note = await source.checkpoint(log.origin)
            log.offer(source.address, note)
            heads.append(open_checkpoint(note, log.origin, log.verifiers))
        except MintmarkError:  # a liar is found, and kept as evidence, by the attempt
            continue
    return max(heads, key=lambda head: head.size, default=None)


async def _reached(worker: Worker, origin: str, target: Checkpoint | None, error: MintmarkError | None) -> Reached:
    wanted = target.size if target is not None else 0
    try:
        progress = await worker.store.progress(origin)
        said = progress.stopped or (str(error) if error is not None and progress.shown < wanted else None)
        if said is None and target is not None and progress.shown == wanted:
            head = await worker.store.head(progress.id)
            said = None if head.root == target.root else "the verified root is not the source's"
        return Reached(origin, progress.size if progress.shown < wanted else progress.shown, wanted, said)
    except MintmarkError as trouble:
        return Reached(origin, 0, wanted, str(error or trouble))
