"""Publishing a log as static files (C2SP tlog-tiles), from a mint's database or a read database to an object store.

    published head ── LogVerifier.accept ──> our head    a fork or a rollback ends here, with both notes
    our rows ── LogVerifier.chunk ──> files              nothing is written that does not lead to the signed head
    bundles, items, tiles  ──>  partial tiles  ──>  checkpoint  ──>  partial tiles that are full for a day are deleted

Crash order: the checkpoint comes last, so that it never names a file that is not there, and a tile of level 1 comes
after all below it: where one is, its 65,536 entries are. A run that was cut off goes on behind the last of those.

A partial tile stays for PARTIAL_SECONDS after the full one is there: not all readers take the full one instead, and one
that holds an older checkpoint may ask for the partial tiles of that.

An item that was erased is taken away by the run that publishes the erasure: its bundle is written again, and partial
copies of it are deleted.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured, NotAvailableYet, ProofError, Unavailable, Untrusted
from mintmark.formats import FORMATS
from mintmark.publish.object_store import CHECKPOINT_PATH
from mintmark.register.reduce import fold_erasures
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.tlog import prove
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH
from mintmark.tlog.merkle import check_consistency
from mintmark.tlog.tile import edge_keys, tile_width
from mintmark.tlog.trust import LogVerifier, is_equivocation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from mintmark.publish.object_store import PublishedLog, StoredFile
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Log
    from mintmark.store.mirror.evidence import EvidenceStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.tile import Key
    from mintmark.tlog.trust import Bundle, VerifiedChunk

STRIPE_ENTRIES = TILE_WIDTH * TILE_WIDTH  # below a tile of level 1
PARTIAL_SECONDS = 24 * 3600  # that a partial file stays, once the full one is there
READ_BYTES = 4 * 2**20  # of bundles in one query


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a run: the head that is published now, the size before it, and how much was written."""

    head: Checkpoint
    before: int
    files: int
    bytes: int
    erased: int  # bundles that were written again without an item


class Publisher:
    """One log of one database, and its files at one place.

    `step` hears of entries: of those that are published already, then of those written. A lie of the place is kept in
    `evidence`, where a mirror's is given. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        store: LogStore,
        log: Log,
        verifiers: Sequence[Verifier],
        files: PublishedLog,
        step: Callable[[int], None],
        evidence: EvidenceStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._log, self._verifiers, self._files, self._step = store, log, verifiers, files, step
        self._evidence, self._clock = evidence, clock
        self._format = FORMATS[log.kind]
        self._erased: set[int] = set()  # bundles without an item that they had
        self._start = self._size = 0

    async def run(self) -> Published:
        """Publishes what is new since the published checkpoint.

        Raises:
            Fork: the published head is not of the same tree. Carries both notes. Nothing was written.
            BadSignature: the published head was signed by another key.
            ProofError: our rows do not lead to the signed head. The checkpoint was not replaced.
            NotAvailableYet: more is published than is here.
            Conflict: another publisher was faster; run again.
        """
        note = (await self._store.head(self._log.id)).note
        head = self._head(note)
        found = await self._files.get(CHECKPOINT_PATH)
        async with self._evidence_kept():
            published = self._open(found)
        if published is not None:
            await self._compare(published, head)
        before = published.size if published is not None else 0
        if found is None or found.data != note:
            await self._publish(head, before)
            await self._files.put_checkpoint(note, found)
        await self._tidy(before, head.size)
        return Published(head, before, self._files.files, self._files.bytes, len(self._erased))

    def _head(self, note: bytes) -> Checkpoint:
        """Our head. Its note is published as it is stored, with all cosignatures."""
        try:
            return open_checkpoint(note, self._log.origin, self._verifiers)
        except (Untrusted, Malformed) as error:
            raise Misconfigured(
                f"the head of {self._log.origin} here is damaged, or its key was changed: {error}; run mintmark fsck"
            ) from error

    def _open(self, found: StoredFile | None) -> Checkpoint | None:
        """The published checkpoint, if it is one of this log's."""
        if found is None:
            return None
        try:
            return open_checkpoint(found.data, self._log.origin, self._verifiers)
        except Malformed as error:
            raise ProofError(
                f"what is published is no checkpoint of {self._log.origin}: {error}", found.data
            ) from error

    async def _compare(self, published: Checkpoint, head: Checkpoint) -> None:
        """Checks that our head follows from the published one; our own rows first, as the damage may be ours."""
        if head.size < published.size:
            await self._compare_behind(head, published)
        proof: list[bytes] = []
        if 0 < published.size < head.size:
            spans = [(0, published.size), *prove.consistency_spans(published.size, head.size)]
            with _our_rows(head):
                root, *proof = prove.prove(spans, await self._rows(prove.needed(spans)))
                check_consistency(published.size, root, head.size, head.root, proof)
        async with self._evidence_kept():
            LogVerifier(self._log.origin, self._verifiers, published, Edge()).accept(head.note, proof)

    async def _compare_behind(self, ours: Checkpoint, published: Checkpoint) -> None:
        """More is published than is here: by the tiles, the same log or a fork. Raises NotAvailableYet or Fork."""
        spans = prove.consistency_spans(ours.size, published.size)
        keys = sorted(prove.needed(spans))
        found = await asyncio.gather(*(self._files.get(self._tile(*key, published.size)) for key in keys))
        tiles = {key: tile.data for key, tile in zip(keys, found, strict=True) if tile is not None}
        state = f"{published.size} entries of {ours.origin} are published, and this database has {ours.size}"
        try:
            proof = prove.prove(spans, tiles)
        except Malformed as error:
            raise Unavailable(f"{state}; whether they agree cannot be told: {error}") from error
        async with self._evidence_kept():
            LogVerifier(self._log.origin, self._verifiers, ours, Edge()).accept(published.note, proof)
        raise NotAvailableYet(f"{state}; bring it up to date first")

    @asynccontextmanager
    async def _evidence_kept(self) -> AsyncIterator[None]:
        """Keeps a lie of the place as evidence, where it is kept; the log stops if it signed two trees of one size."""
        try:
            yield
        except Untrusted as lie:
            if self._evidence is not None:
                stop = is_equivocation(lie, self._log.origin, self._verifiers)
                await self._evidence.contradict(self._log.id, lie, self._files.url, stop=stop)
            raise

    async def _publish(self, head: Checkpoint, before: int) -> None:
        """Writes everything but the checkpoint."""
        self._size, self._start = head.size, await self._resume(before, head.size)
        self._step(self._start)
        with _our_rows(head):
            edge = await self._store.edge(self._log.id, self._start)
            verifier = LogVerifier(self._log.origin, self._verifiers, head, edge)
            if self._start < head.size:
                await self._write_all(verifier, head.size)
        tiles, keys = verifier.edge.tiles, edge_keys(head.size)
        await asyncio.gather(*(self._files.put(self._tile(*key), tiles[key[0]]) for key in keys))

    async def _write_all(self, verifier: LogVerifier, size: int) -> None:
        start = self._start - self._start % TILE_WIDTH
        chunks = CachedLogReader(self._store).chunks(self._log.id, start, size, size, READ_BYTES)
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._write(verifier.chunk(chunk))

    async def _resume(self, before: int, size: int) -> int:
        """Where to go on: behind the stripes whose tile of level 1 is published, and is ours."""
        low, high = before // STRIPE_ENTRIES, size // STRIPE_ENTRIES
        while low < high:
            middle = (low + high) // 2
            found = await self._files.get(self._format.tile_path(1, middle, TILE_WIDTH))
            if (
                found is not None
                and found.data == (await self._rows([(1, middle)]))[1, middle][: TILE_WIDTH * HASH_BYTES]
            ):
                low = middle + 1
            else:
                high = middle
        return max(before, low * STRIPE_ENTRIES)

    async def _write(self, chunk: VerifiedChunk) -> None:
        """Writes the bundles of a chunk, then the tiles that it filled: those of level 1 after all others."""
        erased = self._erasures(chunk)
        full = {key: hashes for key, hashes in chunk.tiles.items() if len(hashes) == TILE_WIDTH * HASH_BYTES}
        await asyncio.gather(
            *(self._put_bundle(row) for row in chunk.bundles),
            *(self._put_tile(key, hashes) for key, hashes in full.items() if key[0] == 0),
            *(self._erase(index) for index in erased),
        )
        for key in sorted((key for key in full if key[0] > 0), reverse=True):
            await self._put_tile(key, full[key])
        self._step(chunk.end - chunk.start)

    async def _put_bundle(self, row: Bundle) -> None:
        paths = self._format.bundle_paths(row.index, row.width)
        await asyncio.gather(*map(self._files.put, paths, (row.entries, row.items)))

    async def _put_tile(self, key: Key, hashes: bytes) -> None:
        await self._files.put(self._format.tile_path(*key, TILE_WIDTH), hashes)

    def _erasures(self, chunk: VerifiedChunk) -> list[int]:
        """The bundles of which the chunk erases an item, each once a run. Raises ProofError for an item that lies."""
        erasures: dict[int, int] = {}
        fold_erasures(erasures, self._format.open_chunk(chunk))
        erased = {index // TILE_WIDTH for index in erasures} - self._erased
        self._erased |= erased
        return sorted(erased)

    async def _erase(self, index: int) -> None:
        """Writes the items of a bundle of an earlier run again, as they are by now, and deletes older copies."""
        _, items = self._format.bundle_paths(index, TILE_WIDTH)
        if index < self._start // TILE_WIDTH:
            (row,) = await self._store.bundles(self._log.id, index, index + 1, 1)
            await self._files.put(items, row.items)
        _, keep = self._format.bundle_paths(index, tile_width(0, index, self._size))
        await self._files.delete_partials(items, keep)

    async def _tidy(self, before: int, size: int) -> None:
        """Deletes the partial tiles and bundles that have been full for long, and notes those that are full by now."""
        now, known = int(self._clock()), await self._files.get_filled()
        filled = dict.fromkeys(self._filled(before, size), now) | known
        gone = [path for path, at in filled.items() if now - at >= PARTIAL_SECONDS]
        await asyncio.gather(*map(self._files.delete_partials, gone))
        if (left := {path: at for path, at in filled.items() if path not in gone}) != known:
            await self._files.put_filled(left)

    def _filled(self, before: int, size: int) -> list[str]:
        """The paths of the tiles and bundles that were partial at `before`, and are full at `size`."""
        keys = [key for key in edge_keys(before) if tile_width(*key, before) < tile_width(*key, size) == TILE_WIDTH]
        paths = [self._format.tile_path(*key, TILE_WIDTH) for key in keys]
        bundles = [self._format.bundle_paths(index, TILE_WIDTH) for level, index in keys if level == 0]
        return [*paths, *(path for both in bundles for path in both)]

    def _tile(self, level: int, index: int, size: int = 0) -> str:
        """The path of a tile as wide as it is in a tree of `size`, or else of our head."""
        return self._format.tile_path(level, index, tile_width(level, index, size or self._size))

    async def _rows(self, keys: Sequence[Key] | set[Key]) -> dict[Key, bytes]:
        return await self._store.tiles(self._log.id, keys)


@contextmanager
def _our_rows(head: Checkpoint) -> Iterator[None]:
    try:
        yield
    except (Untrusted, Malformed) as damage:
        reason = f"our rows of {head.origin} do not lead to its signed head: {damage}; run mintmark fsck"
        raise ProofError(reason, head.note) from damage
