"""All logs of one mint process: made, opened, and sequenced each by itself, so that they commit side by side."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError, Misconfigured, Rejected, Rollback
from mintmark.mint.high_water_mark import read_mark
from mintmark.mint.sequencer import Sequencer
from mintmark.store.log.model import Head
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import parse_vkey

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.mint.append_request import Appended, AppendRequest
    from mintmark.mint.keys import KeyDirectory
    from mintmark.mint.pool import AppendPool
    from mintmark.store.log.model import Log, LogKind
    from mintmark.store.mint.mint_store import MintStore

MARK, PRUNE = 1.0, 3600.0  # seconds between rounds


class Logs:
    """The logs of a database, as this process appends to them."""

    def __init__(
        self,
        store: MintStore,
        pool: AppendPool,
        keys: KeyDirectory,
        *,
        clock: Callable[[], float] = time.time,
        on_event: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self.store, self._pool, self._keys, self._clock, self._on_event = store, pool, keys, clock, on_event
        self._sequencers: dict[int, Sequencer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, origin: str, kind: LogKind, salted: bool) -> bytes:
        """Makes an empty log, if it is not there yet; its signed head.

        Raises:
            Rejected: its key is not here, or it is there as another kind of log.
            Rollback: it has been here before, and has signed more than nothing.
        """
        try:
            signers = self._keys.signers(origin)
        except Misconfigured as error:
            raise Rejected(str(error), rule="key") from error
        empty = sign_checkpoint(origin, 0, EMPTY_ROOT, signers)
        mark = read_mark(self._keys.file(origin, "mark"), origin, [parse_vkey(signer.vkey) for signer in signers])
        if mark.size and origin not in {log.origin for log in await self.store.logs()}:
            raise Rollback(
                f"{origin} has signed {mark.size} entries; restore its database instead", mark.note, empty.note
            )
        log = await self.store.create(origin, kind, salted, Head(0, EMPTY_ROOT, empty.note))
        return (await self.store.head(log.id)).note

    async def append(self, log: Log, request: AppendRequest) -> Appended:
        """Where a batch stands, once it is committed. A caller that goes away leaves the batch to be committed.

        Raises Busy, Rejected, Forbidden, Malformed, Unavailable; Untrusted where the log is not what it signed.
        """
        if log.id not in self._sequencers:
            self._begin(log)
        return await asyncio.shield(self._pool.add(log.id, request))

    async def check(self) -> None:
        """Opens every log: tells of those that cannot be signed for, whose appends will be refused."""
        for log in await self.store.logs():
            try:
                await self._sequencer(log).open()
            except MintmarkError as error:
                self._on_event("not signed for", log.origin, f"{type(error).__name__}: {error}")

    async def keep(self) -> None:
        """Keeps marks up to date, and forgets old requests, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(MARK)
            await self._mark()
            if rounds % (PRUNE / MARK) == 0:
                await self._prune()
            rounds += 1

    async def close(self) -> None:
        """Stops the sequencers, when nobody waits for them any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.notifier.flush()
        await self._mark()

    def _begin(self, log: Log) -> None:
        sequencer = self._sequencers[log.id] = self._sequencer(log)
        task = asyncio.create_task(sequencer.run())
        self._tasks.add(task)

    def _sequencer(self, log: Log) -> Sequencer:
        return Sequencer(log, self.store, self._pool, self._keys, clock=self._clock, on_event=self._on_event)

    async def _mark(self) -> None:
        for sequencer in list(self._sequencers.values()):
            try:
                await sequencer.mark()
            except (OSError, Misconfigured) as error:
                self._on_event("mark not written", sequencer.log.origin, str(error))

    async def _prune(self) -> None:
        try:
            await self.store.prune()
        except MintmarkError as error:
            self._on_event("unavailable", "", str(error))
