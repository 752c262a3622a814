"""The client without asyncio: the same calls, run by an event loop in a thread of its own.

One `Client` may be used by many threads; their single appends are gathered as those of many tasks are.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from mintmark.client.client import AsyncClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any, BinaryIO, Self

    from mintmark.client.append import AppendedEntry, Draft
    from mintmark.client.audit import AuditReport
    from mintmark.client.importing import ImportPlan, ImportResult
    from mintmark.client.keys import KeyRing, Keys
    from mintmark.client.log import AsyncLog, LogEntry
    from mintmark.client.proofs import Proof
    from mintmark.client.register import AsyncRegister, JsonItem
    from mintmark.client.sending import AppendedBatch
    from mintmark.client.snapshot import RecordVersion, RegisterSnapshot, When
    from mintmark.register.schema import Schema
    from mintmark.tlog.checkpoint import Checkpoint

T = TypeVar("T")


class Client:
    """`AsyncClient` for programs without asyncio: `with Client("HOST:PORT", keys) as client`; the same arguments."""

    def __init__(self, grpc: str, keys: Keys | KeyRing, *, http: str | None = None, token: str | None = None) -> None:
        self._client = AsyncClient(grpc, keys, http=http, token=token)
        self._loop = _LoopThread()

    @classmethod
    def from_directory(cls, directory: str | Path = ".mintmark") -> Self:
        """A client of the `mintmark up` that runs in a directory. Raises Unavailable when none does."""
        client = AsyncClient.from_directory(directory)
        return cls(client.grpc, client.keys, http=client.http, token=client.token)

    def __enter__(self) -> Self:
        self._loop.start()
        try:
            self._loop.run(self._client.__aenter__())
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.run(self._client.__aexit__(kind, error, trace))
        finally:
            self._loop.stop()

    def log(self, name: str) -> SyncLog:
        """The log of a short name or an origin. Raises Misconfigured where no key of it is known."""
        return SyncLog(self._loop.call(lambda: self._client.log(name)), self._loop)

    def register(self, name: str) -> SyncRegister:
        """The register of a short name or an origin. Raises Misconfigured where no key of it is known."""
        return SyncRegister(self._loop.call(lambda: self._client.register(name)), self._loop)


class SyncLog:
    """`AsyncLog` for programs without asyncio."""

    def __init__(self, log: AsyncLog, loop: _LoopThread) -> None:
        self._log, self._loop = log, loop
        self.origin, self.name = log.origin, log.name

    def create(self, kind: str = "register", *, salted: bool = False) -> Checkpoint:
        """Makes the log; see `AsyncLog.create`."""
        return self._loop.run(self._log.create(kind, salted=salted))

    def checkpoint(self) -> Checkpoint:
        """The present head; see `AsyncLog.checkpoint`."""
        return self._loop.run(self._log.checkpoint())

    def entries(self, start: int = 0, end: int | None = None) -> Iterator[LogEntry]:
        """The entries [start, end); see `AsyncLog.entries`."""
        return self._loop.iterate(self._log.entries(start, end))

    def follow(self) -> Iterator[Checkpoint]:
        """Each new head as it is signed; see `AsyncLog.follow`."""
        return self._loop.iterate(self._log.follow())

    def export(self, format_: str, stream: BinaryIO) -> list[str]:
        """Writes the whole log to a file; see `AsyncLog.export`."""
        return self._loop.run(self._log.export(format_, stream))

    def prove(self, *, index: int | None = None, record: str | None = None, policy: bytes | None = None) -> Proof:
        """The proof of an entry; see `AsyncLog.prove`."""
        return self._loop.run(self._log.prove(index=index, record=record, policy=policy))

    def append(self, entry: Draft) -> AppendedEntry:
        """Appends one entry; see `AsyncLog.append`."""
        return self._loop.run(self._log.append(entry))

    def append_all(self, entries: Sequence[Draft]) -> AppendedBatch:
        """Appends entries, all or none; see `AsyncLog.append_all`."""
        return self._loop.run(self._log.append_all(entries))

    def audit(self, state_file: str | Path, full: bool = False, *, second_opinion: bool = False) -> AuditReport:
        """Proves that the log only grew since the head in a file; see `AsyncLog.audit`."""
        return self._loop.run(self._log.audit(state_file, full, second_opinion=second_opinion))


class SyncRegister:
    """`AsyncRegister` for programs without asyncio."""

    def __init__(self, register: AsyncRegister, loop: _LoopThread) -> None:
        self._register, self._loop = register, loop
        self.log = SyncLog(register.log, loop)

    def at(self, when: When | None = None) -> RegisterSnapshot:
        """The register as of a size or a time; see `AsyncRegister.at`."""
        return self._loop.run(self._register.at(when))

    def records(self) -> dict[str, RecordVersion]:
        """The records that stand; see `AsyncRegister.records`."""
        return self._loop.run(self._register.records())

    def record(self, key: str) -> RecordVersion:
        """The latest entry of a record; see `AsyncRegister.record`."""
        return self._loop.run(self._register.record(key))

    def history(self, key: str) -> list[RecordVersion]:
        """All entries of a record; see `AsyncRegister.history`."""
        return self._loop.run(self._register.history(key))

    def schema(self) -> Schema:
        """The definitions in force; see `AsyncRegister.schema`."""
        return self._loop.run(self._register.schema())

    def prove(self, *, record: str | None = None, index: int | None = None, policy: bytes | None = None) -> Proof:
        """The proof of a record's latest entry, or of an entry; see `AsyncLog.prove`."""
        return self._loop.run(self._register.prove(record=record, index=index, policy=policy))

    def append(self, key: str, item: JsonItem, *, system: bool = False) -> AppendedEntry:
        """Appends a version of a record, or a definition; see `AsyncRegister.append`."""
        return self._loop.run(self._register.append(key, item, system=system))

    def end(self, key: str) -> AppendedEntry:
        """Ends a record; see `AsyncRegister.end`."""
        return self._loop.run(self._register.end(key))

    def erase(self, index: int, reason: str, authority: str) -> AppendedEntry:
        """Erases the item of an entry; see `AsyncRegister.erase`."""
        return self._loop.run(self._register.erase(index, reason, authority))

    def plan(self, file: str | Path, format_: str | None = None, *, legacy: bool = False) -> ImportPlan:
        """The plan of an import; see `AsyncRegister.plan`."""
        return self._loop.run(self._register.plan(file, format_, legacy=legacy))

    def apply(self, plan: ImportPlan) -> ImportResult:
        """Appends what a plan says; see `AsyncRegister.apply`."""
        return self._loop.run(self._register.apply(plan))


class _LoopThread:
    """An event loop in a thread of its own, from `start` to `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mintmark-client", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.run(_cancel_others())
        loop, thread, self._loop = self._running, self._thread, None
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled where the caller is interrupted."""
        if self._loop is None:
            work.close()
        future = asyncio.run_coroutine_threadsafe(work, self._running)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """The result of a function that needs the loop, run within it."""

        async def work() -> T:
            return function()

        return self.run(work())

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The same items; an iteration that is left early ends the asynchronous one."""
        try:
            while (item := self.run(_next(items))) is not None:
                yield item[0]
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and self._loop is not None:
                self.run(close())

    @property
    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("open the client first: `with`")
        return self._loop


async def _cancel_others() -> None:
    """Cancels what still runs: a call that was interrupted, say."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    """The next item, if there is one."""
    async for item in items:
        return (item,)
    return None
