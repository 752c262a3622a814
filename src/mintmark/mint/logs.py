"""All logs of one mint process: made, opened, and sequenced each by itself, so that they commit side by side."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from traceback import format_exception
from typing import TYPE_CHECKING, NamedTuple

from mintmark.aio import supervise
from mintmark.errors import MintmarkError, Misconfigured, NotAvailableYet, Rejected, Rollback, Unavailable
from mintmark.formats import name_fault
from mintmark.mint.known_heads import newest_signed
from mintmark.mint.sequencer import DATABASE_TIMEOUT_SECONDS, Sequencer
from mintmark.store.log.model import Head
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import parse_vkey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mintmark.mint.keys import KeyDirectory
    from mintmark.mint.pool import AppendPool, AppendResult
    from mintmark.mint.validation import AppendRequest
    from mintmark.store.log.model import Log, LogKind
    from mintmark.store.mint.mint_store import MintStore
    from mintmark.telemetry import EventSink

MARK_INTERVAL_SECONDS = 1.0  # between rounds of raising high-water marks
MARK_ROUNDS_PER_PRUNE = 3600
REOPEN_SECONDS = 5.0  # between looks at logs that could not be signed for


class SigningState(NamedTuple):
    """The mint's word for its heads (`rpc.confirmations.ConfirmedHeads`): they are what its database holds now, but for
    the logs that it cannot append to. `silent`: it cannot append to any.
    """

    age: float
    unconfirmed: frozenset[str]
    silent: bool


class Logs:
    """The logs of a database, as this process appends to them. See `Sequencer` for the settings."""

    def __init__(
        self,
        store: MintStore,
        pool: AppendPool,
        keys: KeyDirectory,
        *,
        clock: Callable[[], float] = time.time,
        on_event: EventSink = lambda *_: None,
        database_timeout: float = DATABASE_TIMEOUT_SECONDS,
    ) -> None:
        self.store, self._pool, self._keys = store, pool, keys
        self._clock, self._on_event, self._database_timeout = clock, on_event, database_timeout
        self._shown: dict[int, Head] = {}
        self._sequencers: dict[int, Sequencer] = {}
        self._unopened: dict[str, str] | None = None  # why a log cannot be signed for; None: not all were looked at
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, origin: str, kind: LogKind, salted: bool) -> bytes:
        """Makes an empty log, if it is not there yet; its signed head.

        Raises:
            Rejected: its key is not here, it is there as another kind of log, or its name could not be linked.
            Rollback: it has been here before, and has signed entries.
        """
        if (fault := name_fault(origin, kind)) is not None and not await self._is_here(origin):
            raise Rejected(fault, rule="name")
        try:
            signers = self._keys.signers(origin)
        except Misconfigured as error:
            raise Rejected(str(error), rule="key") from error
        empty = sign_checkpoint(origin, 0, EMPTY_ROOT, signers)
        verifiers = [parse_vkey(signer.vkey) for signer in signers]
        mark = newest_signed(self._keys, origin, verifiers)
        if mark.size and not await self._is_here(origin):
            reason = f"{origin} has signed {mark.size} entries; restore its database instead"
            raise Rollback(reason, mark.note, empty.note)
        log = await self.store.create(origin, kind, salted, Head(0, EMPTY_ROOT, empty.note))
        return (await self.store.head(log.id)).note

    async def _is_here(self, origin: str) -> bool:
        return origin in {log.origin for log in await self.store.logs()}

    async def find(self, origin: str) -> Log:
        """The log of this origin. Raises NotFound, Unavailable."""
        return await self.store.log(origin)

    async def append(self, log: Log, request: AppendRequest) -> AppendResult:
        """The place of a batch, once it is committed. A caller that goes away leaves the batch to be committed.

        Raises:
            Busy: there is no room for it now.
            Rejected, Forbidden, Malformed: the log refuses the batch.
            Unavailable: the database does not answer, or a byte changed in memory.
            Untrusted: the log is not what it signed.
            MintmarkError: a row is lost or damaged, or a defect of ours.
        """
        if log.id not in self._sequencers:
            self._start(log)
        return await asyncio.shield(self._pool.add(log.id, request))

    async def open_all(self) -> None:
        """Opens every log, and signs its head with keys that are new; and those again that cannot be signed for.

        Until cancelled: their appends are refused meanwhile.
        """
        while True:
            try:
                await self._open_refused()
            except MintmarkError as error:
                self._on_event("unavailable", "", str(error))
            await asyncio.sleep(REOPEN_SECONDS)

    async def signing_state(self) -> SigningState:
        """Which logs can be appended to. Raises NotAvailableYet until each was looked at, Unavailable."""
        await self.store.check_writable()
        if self._unopened is None:
            raise NotAvailableYet("not every log was opened yet")
        refused = self._refused()
        return SigningState(
            0.0, refused, bool(refused) and all(log.origin in refused for log in await self.store.logs())
        )

    def _refused(self) -> frozenset[str]:
        failing = {sequencer.log.origin for sequencer in self._sequencers.values() if sequencer.failing}
        return frozenset(failing | (self._unopened or {}).keys())

    async def _open_refused(self) -> None:
        """Opens the logs that could not be signed for; all of them, the first time."""
        first, refused = self._unopened is None, self._refused()
        if not first and not refused:
            return
        logs = [log for log in await self.store.logs() if first or log.origin in refused]
        failed = {log.origin: reason for log in logs if (reason := await self._try_open(log)) is not None}
        for origin in failed.keys() - (self._unopened or {}).keys():
            self._on_event("not signed for", origin, failed[origin])
        self._unopened = failed

    async def _try_open(self, log: Log) -> str | None:
        """Why a log cannot be signed for; None: it can."""
        try:
            await self._with_sequencer(log, Sequencer.sign_afresh)
        except MintmarkError as error:
            return f"{type(error).__name__}: {error}"
        if (running := self._sequencers.get(log.id)) is not None:
            running.failing = False
        return None

    async def reload_keys(self) -> bool:
        """Puts the keys in force that have changed in their files; False where some could not be, which is told."""
        done = True
        try:
            changed = [log for log in await self.store.logs() if self._keys.is_changed(log.origin)]
        except Unavailable:
            return False
        for log in changed:
            try:
                await self._with_sequencer(log, Sequencer.take_keys)
            except MintmarkError as error:
                done = False
                self._on_event("keys not reloaded", log.origin, str(error))
            else:
                signs = ", ".join(signer.vkey for signer in self._keys.signers(log.origin))
                reason = "mirrors that trust none of them stop at the next head; give them all before one is taken away"
                self._on_event("keys reloaded", log.origin, f"it signs with {signs}: {reason}")
        return done

    async def _with_sequencer(self, log: Log, work: Callable[[Sequencer], Awaitable[None]]) -> None:
        """Does some work with the sequencer of a log; with one for this alone where nothing is appended."""
        if (running := self._sequencers.get(log.id)) is not None:
            return await work(running)
        sequencer = self._sequencer(log)
        try:
            return await work(sequencer)
        finally:
            sequencer.known.release()

    def note_shown(self, heads: Mapping[int, Head]) -> None:
        """Takes heads that are about to be shown to readers, by log id: no older one is signed upon from now on."""
        for log, head in heads.items():
            if (shown := self._shown.get(log)) is None or head.size > shown.size:
                self._shown[log] = head

    async def maintain(self) -> None:
        """Raises high-water marks, and forgets old requests, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(MARK_INTERVAL_SECONDS)
            await self._raise_marks()
            if rounds % MARK_ROUNDS_PER_PRUNE == 0:
                await self._prune()
            rounds += 1

    async def close(self) -> None:
        """Stops the sequencers, when nobody waits for them any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.notifier.flush()
        await self._raise_marks()
        for sequencer in self._sequencers.values():
            sequencer.known.release()

    def _start(self, log: Log) -> None:
        sequencer = self._sequencers[log.id] = self._sequencer(log)
        self._tasks.add(asyncio.create_task(supervise(sequencer.run, partial(self._tell_defect, log.origin))))

    def _tell_defect(self, origin: str, error: BaseException) -> None:
        self._on_event("defect", origin, "".join(format_exception(error)))

    def _sequencer(self, log: Log) -> Sequencer:
        return Sequencer(
            log,
            self.store,
            self._pool,
            self._keys,
            shown=self._shown,
            clock=self._clock,
            on_event=self._on_event,
            database_timeout=self._database_timeout,
        )

    async def _raise_marks(self) -> None:
        for sequencer in list(self._sequencers.values()):
            await sequencer.raise_mark()

    async def _prune(self) -> None:
        try:
            await self.store.prune()
        except MintmarkError as error:
            self._on_event("unavailable", "", str(error))
