"""The sequencer of one log: takes all that waits, admits it, commits it, answers.

    take ── admit ── build_commit (checks, signs) ── store ──> answer
      ^                                                |
      '── answer what is in the log already ── read the log again <── lost race, lost answer, request id known

Nothing waits for a timer: what comes while a commit is under way is the next commit. There is one recovery, whatever
went wrong (docs/adr/002-optimistic-commit.md): the state is thrown away and read again, requests that are in the log
already are answered, the others sequenced anew. What is kept is the knowledge of the heads that were signed before
(`known_heads`): a database that has gone back is not signed for.
"""

from __future__ import annotations

import asyncio
import time
from time import monotonic
from traceback import format_exception
from types import MappingProxyType
from typing import TYPE_CHECKING

from mintmark.aio import Backoff, offload
from mintmark.errors import (
    BadSignature,
    Conflict,
    Malformed,
    MintmarkError,
    Misconfigured,
    Rejected,
    Unavailable,
    WriteMismatch,
)  # fmt: skip
from mintmark.mint.commit import (
    MintState,
    admit_all,
    build_commit,
    check_stored,
    erased_bundles,
    redefinitions_in_use,
    repeated_erasures,
    sign_again,
    uses_field,
)  # fmt: skip
from mintmark.mint.known_heads import KnownHeads
from mintmark.mint.pool import AppendResult, refuse_all, settle_known
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.note import parse_note, parse_vkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mintmark.mint.commit import Refusal
    from mintmark.mint.keys import KeyDirectory
    from mintmark.mint.pool import AppendPool, PendingAppend
    from mintmark.mint.validation import AdmittedBatch, AppendRequest
    from mintmark.store.log.model import Head, Log
    from mintmark.store.mint.mint_store import MintStore
    from mintmark.telemetry import EventSink
    from mintmark.tlog.note import Signer


DATABASE_TIMEOUT_SECONDS = 10.0
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.05, 1.0
MAX_READ_BYTES = 4 * 2**20  # of bundles that are searched at once for a field's values


class Sequencer:
    """One log's. `on_event(event, origin, detail)` hears of troubles: the shell logs and counts them.

    `database_timeout` is the time in seconds that a request waits for a database that does not answer. `shown`: see
    `KnownHeads`.
    """

    def __init__(
        self,
        log: Log,
        store: MintStore,
        pool: AppendPool,
        keys: KeyDirectory,
        *,
        shown: Mapping[int, Head] = MappingProxyType({}),
        clock: Callable[[], float] = time.time,
        on_event: EventSink = lambda *_: None,
        database_timeout: float = DATABASE_TIMEOUT_SECONDS,
    ) -> None:
        self.log, self._store, self._pool, self._keys = log, store, pool, keys
        self._clock, self._on_event, self._database_timeout = clock, on_event, database_timeout
        self._signers: Sequence[Signer] = ()
        self._busy = asyncio.Lock()  # held while a commit is made
        self._state: MintState | None = None
        self.known = KnownHeads(log, store, keys, shown)
        self.failing = False  # True: the last append failed, and not by what it asked for

    async def run(self) -> None:
        """Sequences until cancelled."""
        while True:
            appends = await self._pool.take(self.log.id)
            async with self._busy:
                await self._sequence(appends)

    async def open(self) -> MintState:
        """The log as its database holds it, checked against what the log has signed.

        Raises:
            Untrusted: it is not what was signed.
            MintmarkError: a row is lost or damaged.
            Misconfigured, Unavailable: its key is not here; the database does not answer.
        """
        self._signers = self._keys.signers(self.log.origin)
        verifiers = [parse_vkey(signer.vkey) for signer in self._signers]
        try:
            known = self.known.read(verifiers)
            state = MintState.load(self.log, await self._store.load(self.log))
            head = check_stored(self.log, state, verifiers)
            await self.known.check(head, known)
        except BadSignature as error:
            file = self._keys.file(self.log.origin, "key").name
            raise BadSignature(
                f"{self.log.origin}: {error}; if its key was changed, put the old one back into {file}", *error.notes
            ) from error
        except (Malformed, Rejected) as error:
            raise MintmarkError(f"a row of {self.log.origin} is damaged: {error}; run mintmark fsck") from error
        return state

    async def sign_afresh(self) -> None:
        """Signs the present head with the keys in force, where it is not signed with each of them. Raises as `open`."""
        async with self._busy:
            await self.known.claim()
            state = self._state = await self.open()
            missing = {(s.name, s.key_id) for s in self._signers} - {
                line[:2] for line in parse_note(state.head.note)[1]
            }
            if missing:
                after, commit = sign_again(self.log, state, self._signers)
                await self._store.commit(commit)
                self._state = after
                self._note_commit(after.head)
                await self.raise_mark()  # the old key may go now, and the mark must not need it

    async def raise_mark(self) -> None:
        """Brings the high-water mark up to the last commit, and reports where it cannot."""
        try:
            await self.known.raise_mark()
        except (OSError, MintmarkError) as error:
            self._on_event("mark not written", self.log.origin, str(error))

    async def take_keys(self) -> None:
        """Puts the keys in the log's file in force, and signs the present head with them.

        Raises Misconfigured where the file cannot be read, or where its keys have signed no head: nobody who follows
        the log, nor this mint, could tell then that the log is still the same. The old keys stay in force.
        """
        keys = self._keys.read(self.log.origin)
        verifiers = [parse_vkey(signer.vkey) for signer in keys.signers]
        try:
            open_checkpoint((await self._store.head(self.log.id)).note, self.log.origin, verifiers)
            self.known.check_keys(verifiers)
        except BadSignature as error:
            file = self._keys.file(self.log.origin, "key")
            raise Misconfigured(
                f"none of the keys in {file} has signed the head of {self.log.origin}: put the old key beside the new "
                "one, and take it away when a head was signed with both; until then the old one signs"
            ) from error
        self._keys.put_in_force(self.log.origin, keys)
        await self.sign_afresh()

    async def _sequence(self, appends: Sequence[PendingAppend]) -> None:
        """Answers every one of these appends."""
        deadline = monotonic() + self._database_timeout
        backoff = Backoff(FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS)
        while appends := [append for append in appends if not append.answer.done()]:
            try:
                await self._attempt(appends)
                self.failing = False
            except Conflict:
                self._state = None
            except Unavailable as error:
                self._state, self.failing = None, True
                self._on_event("unavailable", self.log.origin, f"{type(error).__name__}: {error}")
                pause = backoff.next()
                if monotonic() + pause > deadline:
                    refuse_all(appends, error)
                    return
                await asyncio.sleep(pause)
            except Exception as error:  # noqa: BLE001  # whatever it is, callers are told, and the log goes on
                self._state, self.failing = None, True
                refuse_all(appends, self._report(error))

    def _report(self, error: Exception) -> MintmarkError:
        """Logs why nothing was committed; the error that callers get."""
        if isinstance(error, WriteMismatch):
            self._on_event("memory fault", self.log.origin, str(error))
            reason = "a byte changed in the mint's memory, nothing was signed; send it again, with the same request id"
            return Unavailable(reason)
        if isinstance(error, MintmarkError) and not isinstance(error, Malformed):
            self._on_event("refused", self.log.origin, f"{type(error).__name__}: {error}")
            return error
        self._on_event("defect", self.log.origin, "".join(format_exception(error)))
        return MintmarkError("internal error; the mint's log has it")

    async def _attempt(self, appends: Sequence[PendingAppend]) -> None:
        """One commit of what is admitted. Where it raises, the appends not answered yet may be tried again."""
        began = monotonic()
        state = self._state or await self._reload(appends)
        waiting = {append.request.id: append for append in appends if not append.answer.done()}
        batches, items = await self._admit(state, waiting)
        if batches:
            await self._commit(state, batches, items, waiting)
            self._pool.record_commit(self.log.id, sum(b.request.count for b in batches), monotonic() - began)

    async def _reload(self, appends: Sequence[PendingAppend]) -> MintState:
        """Reads the log again, and answers the appends that are in it already."""
        await self.known.claim()
        self._state = state = await self.open()
        await self._settle_known(state, appends)
        return state

    async def _admit(
        self, state: MintState, waiting: Mapping[bytes, PendingAppend]
    ) -> tuple[list[AdmittedBatch], Mapping[int, bytes]]:
        """The batches to commit, and the items of the older bundles that they erase; refuses the others.

        Where a batch repeats an erasure, or redefines a field in use, only that one is refused: the others are admitted
        anew, without it.
        """
        requests = [append.request for append in waiting.values()]
        size, now = _size(requests), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        batches, refused = await offload(size, admit_all, state, requests, now)
        older = erased_bundles(state, batches)
        items = await self._store.items(self.log.id, older) if older else {}
        used = await self._used_fields(state, {name for batch in batches for name in batch.redefined})
        again = await offload(size, repeated_erasures, state, batches, items) or redefinitions_in_use(batches, used)
        if again:
            batches, refused = [], again
        if refused:
            await self._refuse(state, refused, waiting)
        return batches, items

    async def _used_fields(self, state: MintState, names: set[str]) -> set[str]:
        """Those of these fields that some record of the log has a value of. Reads the log, as far as it must."""
        used, at, end = set[str](), 0, -(-state.head.size // TILE_WIDTH)
        while at < end and used < names:
            rows = await self._store.bundles(self.log.id, at, end, MAX_READ_BYTES)
            used |= {name for name in names - used for row in rows if uses_field(row.entries, row.items, name)}
            at = rows[-1].index + 1
        return used

    async def _commit(
        self,
        state: MintState,
        batches: Sequence[AdmittedBatch],
        items: Mapping[int, bytes],
        waiting: Mapping[bytes, PendingAppend],
    ) -> None:
        """Signs and stores the batches, and answers their appends."""
        size = _size(batch.request for batch in batches)
        if self.known.is_moved():
            raise Conflict("another mint moved this log, or its mark was replaced")
        after, commit = await offload(size, build_commit, self.log, state, batches, items, self._signers)
        await self._store.commit(commit)
        self._state = after
        self._note_commit(after.head)
        for batch in batches:
            result = AppendResult(batch.first, batch.request.count, after.head.note, batch.warnings)
            waiting[batch.request.id].settle(result)

    def _note_commit(self, head: Head) -> None:
        """Makes a committed head known, before it is told; what is committed is answered, even if it cannot be."""
        try:
            self.known.commit(Checkpoint(self.log.origin, head.size, head.root, head.note))
        except OSError as error:
            self._on_event("mark not written", self.log.origin, str(error))

    async def _settle_known(self, state: MintState, appends: Sequence[PendingAppend]) -> None:
        """Answers the appends whose requests are in the log already."""
        known = await self._store.answered(self.log.id, [append.request.id for append in appends])
        for append in appends:
            if (receipt := known.get(append.request.id)) is not None:
                settle_known(append, receipt, state.head)

    async def _refuse(
        self, state: MintState, refused: Sequence[Refusal], waiting: Mapping[bytes, PendingAppend]
    ) -> None:
        """Refuses requests, once it is sure that the state that they were refused by is the log's.

        A retry of what is in the log already may break the rules of today: it is answered, not refused.
        """
        if (await self._store.head(self.log.id)).size != state.head.size:
            raise Conflict("another mint moved this log")
        await self._settle_known(state, [waiting[request.id] for request, _ in refused])
        for request, error in refused:
            waiting[request.id].refuse(error if isinstance(error, MintmarkError) else self._report(error))


def _size(requests: Iterable[AppendRequest]) -> int:
    return sum(request.size for request in requests)
