"""One log: its heads, entries, proofs, appends and audits, each verified by the log's own keys.

What only some callers need is imported when it is first used.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mintmark.aio import Backoff
from mintmark.client import download
from mintmark.errors import Unavailable
from mintmark.sources.source import Announcement
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mintmark.client.append import AppendedEntry, Appender, Draft
    from mintmark.client.audit import AuditReport
    from mintmark.client.fetch_proofs import Prover
    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.client.proofs import Proof
    from mintmark.client.read_api import ReadApi
    from mintmark.client.sending import AppendedBatch
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 10.0  # of `follow`, while the server is away


class LogEntry(NamedTuple):
    """An entry at its index, as the bytes that were hashed."""

    index: int  # type: ignore[assignment]  # instead of tuple.index
    entry: bytes


@dataclass(frozen=True)
class Servers:
    """The servers that a client speaks to: a mint or a mirror, and a read API where one is known."""

    rpc: MintClient
    read_api: ReadApi | None


class AsyncLog:
    """A log; made by `AsyncClient.log`.

    Heads of separate calls are not compared with one another: `follow` and `audit` do that.
    """

    def __init__(self, servers: Servers, trusted: TrustedLog) -> None:
        self.trusted, self.servers = trusted, servers

    @property
    def origin(self) -> str:
        """The log's name in its checkpoints."""
        return self.trusted.origin

    @property
    def name(self) -> str:
        """The last segment of the origin."""
        return self.trusted.name

    async def create(self, kind: str = "register", *, salted: bool = False) -> Checkpoint:
        """Makes the log, empty: a "register" or "opaque". Asking again for the same log changes nothing.

        The mint must hold its key. `salted` salts each item, so that an erased one cannot be guessed from its hash.
        """
        note = await self.servers.rpc.create(self.origin, kind, salted=salted)
        with download.strictly():
            return open_checkpoint(note, self.origin, self.trusted.verifiers)

    async def checkpoint(self) -> Checkpoint:
        """The present head, signed by the log."""
        return await download.get_head(self.servers.rpc, self.trusted)

    async def entries(self, start: int = 0, end: int | None = None) -> AsyncIterator[LogEntry]:
        """The entries [start, end), to the head where `end` is None. Raises NotAvailableYet beyond it."""
        async for chunk in self.chunks(start, end):
            for index, leaf in download.leaves(chunk):
                if index >= start and (end is None or index < end):
                    yield LogEntry(index, leaf)

    async def chunks(
        self, start: int = 0, end: int | None = None, step: Callable[[int, int], None] = lambda done, total: None
    ) -> AsyncIterator[VerifiedChunk]:
        """Verified chunks that cover [start, end), for programs that write files.

        The first may begin before `start`. `step` is called with the entries that are done and those there are.
        """
        head = await self.checkpoint()
        stop = download.check_range(start, end, head)
        verifier = await download.start_verifier(self.servers.rpc, self.trusted, head, start)
        async for chunk in download.get_chunks(self.servers.rpc, verifier, stop):
            yield chunk
            step(chunk.end - start, stop - start)

    async def export(
        self, format_: str, stream: BinaryIO, step: Callable[[int, int], None] = lambda done, total: None
    ) -> list[str]:
        """Writes the whole log to a file, as "jsonl", or a register as "rsf", "csv" or "tsv"; returns warnings.

        Raises Rejected for what the format cannot say. What was written before an error is not to be used.
        """
        from mintmark.client import export

        return await export.WRITERS[format_](self.chunks(step=step), stream)

    def follow(self) -> AsyncIterator[Checkpoint]:
        """The present head, then each new one as it is signed, each proven to follow from the one before.

        Waits through outages of the server, without end.
        """
        return follow(self.servers.rpc, [self.trusted])

    async def prove(self, *, index: int | None = None, record: str | None = None, policy: bytes | None = None) -> Proof:
        """The proof of an entry, by its index, or of the latest entry of a record; checked before it is returned.

        The read API, where one is known, says where the record's latest entry is among those that it has. Entries
        after these are read from the log. Without a read API, the whole log is read and nothing is its word.

        Args:
            index: the entry's index.
            record: the key of a record, instead.
            policy: a tlog-policy that the head must satisfy; the cosignatures become part of the proof.

        Raises:
            NotFound: there is no such record.
            NotAvailableYet: the index is beyond the head, or the quorum has not cosigned the head so far.
        """
        if record is not None and index is None:
            return await self._prover.prove_record(record, policy)
        if index is None or record is not None:
            raise TypeError("prove takes the index of an entry, or the key of a record")
        return await self._prover.prove(index, policy)

    async def append(self, entry: Draft) -> AppendedEntry:
        """Appends one entry; returns its index once it is durable and was read back from the signed tree.

        Entries that are appended while a request is under way go together in the next. One that is refused keeps no
        other from its place. An outage of a minute is waited through; nothing is appended twice.

        Raises:
            Rejected: the log does not take the entry.
            Forbidden: the token lacks the right.
        """
        return await self._appender.append(entry)

    async def append_all(self, entries: Sequence[Draft]) -> AppendedBatch:
        """Appends entries one behind the other, all or none; otherwise as `append`."""
        return await self._appender.append_all(entries)

    async def audit(
        self,
        state_file: str | Path,
        full: bool = False,
        *,
        second_opinion: bool = False,
        step: Callable[[int, int], None] = lambda done, total: None,
    ) -> AuditReport:
        """Proves that the log only grew since the head in a file, which the new head then replaces.

        `full` reads and checks every entry and item. See `mintmark.client.audit` for the files and the errors.
        """
        from mintmark.client.audit import audit

        rpc, options = self.servers.rpc, {"full": full, "second_opinion": second_opinion}
        return await audit(rpc, self.trusted, Path(state_file), **options, step=step)

    @cached_property
    def _appender(self) -> Appender:
        from mintmark.client.append import Appender

        return Appender(self.servers.rpc, self.trusted)

    @cached_property
    def _prover(self) -> Prover:
        from mintmark.client.fetch_proofs import Prover

        return Prover(self.servers.rpc, self.trusted, self.servers.read_api)


async def follow(
    client: MintClient,
    logs: Sequence[TrustedLog],
    on_outage: Callable[[Unavailable, float], None] = lambda error, pause: None,
) -> AsyncIterator[Checkpoint]:
    """The heads of several logs, as `AsyncLog.follow` yields those of one.

    `on_outage` is called with the error and the seconds until the next attempt.
    """
    verifiers = {log.origin: LogVerifier(log.origin, log.verifiers, None, Edge()) for log in logs}
    backoff = Backoff(FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS)
    while True:
        try:
            async for head in _moved(client, verifiers):
                backoff.reset()
                yield head
            pause = backoff.next()
        except Unavailable as error:
            pause = backoff.next()
            on_outage(error, pause)
        await asyncio.sleep(pause)


async def _moved(client: MintClient, verifiers: dict[str, LogVerifier]) -> AsyncIterator[Checkpoint]:
    """Heads of one stream that moved, verified. One that begins with an older head is a server's that is behind."""
    streamed: dict[str, int] = {}  # the size that this stream showed last
    async for announced in client.watch(list(verifiers)):
        if not isinstance(announced, Announcement) or (verifier := verifiers.get(announced.origin)) is None:
            continue
        before = verifier.head
        size = download.open_head(verifier, announced.note).size
        behind = before is not None and streamed.setdefault(announced.origin, size) <= size < before.size
        streamed[announced.origin] = size
        if behind:
            continue
        head = await download.accept(client, verifier, announced.note)
        if before is None or head.size > before.size:
            yield head
