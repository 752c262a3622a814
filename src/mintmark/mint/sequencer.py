"""The sequencer of one log: takes all that waits, gives it its place, commits it, answers.

    take ── admit ── integrate ── sign ── commit ──> answer
      ^                                     |
      '── settle what is in the log already ── read the log again <── lost race, lost answer, request id known

Nothing waits for a timer: what comes while a commit is under way is the next commit. There is one recovery, whatever
went wrong (docs/adr/002-optimistic-commit.md): the state is thrown away and read again, requests that are in the log
already are answered, the others sequenced anew.
"""

from __future__ import annotations

import asyncio
import time
from time import monotonic
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mintmark.aio import Backoff
from mintmark.errors import Conflict, MintmarkError, ProofError, Unavailable
from mintmark.mint.append_request import Appended
from mintmark.mint.commit import MintState, admit_all, build_commit, check_stored, erased_bundles, refuse_repeats
from mintmark.mint.high_water_mark import check_mark, raise_mark, read_mark
from mintmark.mint.pool import check_same
from mintmark.tlog.note import parse_vkey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.mint.append_request import AppendRequest as Batch
    from mintmark.mint.keys import KeyDirectory
    from mintmark.mint.pool import AppendPool, Ticket
    from mintmark.store.log.model import Log
    from mintmark.store.mint.mint_store import AppendReceipt, MintStore
    from mintmark.tlog.note import Signer

    P = ParamSpec("P")
    T = TypeVar("T")

PATIENCE = 10.0  # seconds that a request waits for a database that does not answer
BACKOFF_FIRST, BACKOFF_MAX = 0.05, 1.0  # seconds between attempts
AGAIN = "send it again, with the same request id"
INLINE = 65_536  # bytes that are worked on without leaving the event loop


class Sequencer:
    """One log's. `on_event(event, origin, detail)` hears of troubles: the shell logs and counts them."""

    def __init__(
        self,
        log: Log,
        store: MintStore,
        pool: AppendPool,
        keys: KeyDirectory,
        *,
        clock: Callable[[], float] = time.time,
        on_event: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self.log, self._store, self._pool, self._keys = log, store, pool, keys
        self._clock, self._on_event = clock, on_event
        self._signers: Sequence[Signer] = ()
        self._state: MintState | None = None
        self._marked = b""  # the note that stands in the mark

    async def run(self) -> None:
        """Sequences until cancelled."""
        while True:
            await self._sequence(await self._pool.take(self.log.id))

    async def open(self) -> MintState:
        """The log as its database holds it, found to be what was signed.

        Raises Untrusted where it is not, Misconfigured without its key, Unavailable.
        """
        self._signers = self._keys.signers(self.log.origin)
        verifiers = [parse_vkey(signer.vkey) for signer in self._signers]
        state = MintState.load(self.log, await self._store.load(self.log))
        head = check_stored(self.log, state, verifiers)
        mark = read_mark(self._keys.file(self.log.origin, "mark"), self.log.origin, verifiers)
        await check_mark(self._store, self.log.id, head, mark)
        self._marked = mark.note
        return state

    async def mark(self) -> None:
        """Brings the mark up to the last commit."""
        state = self._state
        if state is None or state.head.size == 0 or state.head.note == self._marked:
            return
        if await asyncio.to_thread(raise_mark, self._keys.file(self.log.origin, "mark"), state.head.note):
            self._marked = state.head.note

    async def _sequence(self, tickets: Sequence[Ticket]) -> None:
        """Answers every one of these tickets."""
        began, backoff = monotonic(), Backoff(BACKOFF_FIRST, BACKOFF_MAX)
        while tickets := [ticket for ticket in tickets if not ticket.answer.done()]:
            try:
                await self._attempt(tickets)
            except Conflict:
                self._state = None
            except _MemoryFault as fault:
                self._state = None
                self._on_event("memory fault", self.log.origin, str(fault))
                _refuse(tickets, Unavailable(f"a byte changed in the mint's memory, nothing was signed; {AGAIN}"))
            except Exception as error:  # noqa: BLE001  # whatever it is, who waits is told, and the log goes on
                self._state = None
                event = "unavailable" if type(error) is Unavailable else "refused"
                self._on_event(event, self.log.origin, f"{type(error).__name__}: {error}")
                pause = backoff.next()
                if type(error) is not Unavailable or monotonic() - began + pause > PATIENCE:
                    _refuse(tickets, error)
                    return
                await asyncio.sleep(pause)

    async def _attempt(self, tickets: Sequence[Ticket]) -> None:
        """One commit of what is admitted. Raises Conflict, and what `MintStore` raises, with the tickets unanswered."""
        if self._state is None:
            self._state = await self.open()
            await self._settle_known(tickets)
        open_ = {ticket.request.id: ticket for ticket in tickets if not ticket.answer.done()}
        state, now = self._state, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        began, size = monotonic(), sum(ticket.request.size for ticket in open_.values())
        draft = await _compute(size, admit_all, state, [ticket.request for ticket in open_.values()], now)
        items = await self._store.items(self.log.id, older) if (older := erased_bundles(draft)) else {}
        if repeats := await _trusting_memory(size, refuse_repeats, draft, items):
            await self._refuse(state, repeats, open_)
            return  # the others are admitted anew, without these
        if draft.refused:
            await self._refuse(state, draft.refused, open_)
        if not draft.requests:
            return
        after, commit = await _trusting_memory(size, build_commit, self.log, draft, items, self._signers)
        await self._store.commit(commit)
        self._state, first = after, state.head.size
        for request, batch in zip(draft.requests, draft.admitted, strict=True):
            open_[request.id].settle(Appended(first, request.count, after.head.note, batch.warnings))
            first += request.count
        self._pool.drained(self.log.id, first - state.head.size, monotonic() - began)

    async def _settle_known(self, tickets: Sequence[Ticket]) -> None:
        """Answers the tickets whose requests are in the log already."""
        known = await self._store.answered(self.log.id, [ticket.request.id for ticket in tickets])
        for ticket in tickets:
            if (row := known.get(ticket.request.id)) is not None:
                self._settle(ticket, row)

    def _settle(self, ticket: Ticket, row: AppendReceipt) -> None:
        state = self._state
        if state is None or row.first + row.count > state.head.size:
            raise Conflict("another mint moved this log")  # it is in a head that we have not read
        try:
            check_same(row.digest, ticket.request.digest)
        except MintmarkError as error:
            ticket.refuse(error)
        else:
            ticket.settle(Appended(row.first, row.count, state.head.note))

    async def _refuse(
        self, state: MintState, refused: Sequence[tuple[Batch, Exception]], tickets: dict[bytes, Ticket]
    ) -> None:
        """Refuses what was not admitted, once it is sure that the state it was refused by is the log's.

        A retry of what is in the log already may break the rules of today: it is answered, not refused.
        """
        if (await self._store.head(self.log.id)).size != state.head.size:
            raise Conflict("another mint moved this log")
        await self._settle_known([tickets[request.id] for request, _ in refused])
        for request, error in refused:
            tickets[request.id].refuse(error)


class _MemoryFault(Exception):  # of the machine; no error of this program
    """What was to be signed is not what was to be written."""


def _refuse(tickets: Sequence[Ticket], error: Exception) -> None:
    for ticket in tickets:
        ticket.refuse(error)


async def _compute(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs pure work: in a thread where it is long, so that the loop goes on receiving."""
    if size <= INLINE:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


async def _trusting_memory(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what can fail only where a byte changed in memory. Raises _MemoryFault then."""
    try:
        return await _compute(size, work, *args, **kwargs)
    except (ProofError, ValueError, LookupError) as error:
        raise _MemoryFault(str(error)) from error
