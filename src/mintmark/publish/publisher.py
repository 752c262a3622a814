"""Publishing a log as static files (C2SP tlog-tiles), from a mint's database or a read database to an object store.

    what is published ── accept ──> our head        a fork or a rollback ends here, with both notes
    our rows ── LogVerifier.chunk ──> files             only what leads to the signed head is written
    bundles, items, tiles  ──>  partial tiles  ──>  checkpoint  ──>  partial tiles that are full by now are deleted

Crash order: the checkpoint comes last, so that it never names what is not there, and a tile of level 1 comes after all
below it: where one is, its 65,536 entries are. A run that was cut off goes on behind the last of those.

An item that was erased is taken away by the run that publishes the erasure: its bundle is written again, and partial
copies of it are deleted.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured, NotAvailableYet, ProofError, Unavailable, Untrusted
from mintmark.mirror.consistency import contradicts_itself
from mintmark.publish.object_store import CHECKPOINT
from mintmark.register.chunk import open_chunk
from mintmark.register.entry import erased_index
from mintmark.rpc import chunks, limits
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog import prove
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH, WIDTH
from mintmark.tlog.merkle import check_consistency
from mintmark.tlog.tile import Tile, edge_keys, entries_path, items_path, path, tile_width
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from mintmark.publish.object_store import PublishedLog, StoredFile
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Log
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.tile import Key
    from mintmark.tlog.trust import VerifiedChunk

STRIPE = WIDTH * WIDTH  # entries below a tile of level 1


@dataclass(frozen=True, slots=True)
class Published:
    """What a run did: the head that is published now, the size that was before, and how much was written."""

    head: Checkpoint
    before: int
    files: int
    bytes: int
    erased: int  # bundles that were written again without an item


class Publisher:
    """One log of one database, at one place. `step` hears of entries: of those there already, then of those written."""

    def __init__(
        self, store: LogStore, log: Log, verifiers: Sequence[Verifier], shelf: PublishedLog, step: Callable[[int], None]
    ) -> None:
        self._store, self._log, self._verifiers, self._shelf, self._step = store, log, verifiers, shelf, step
        self._erased: set[int] = set()  # bundles without an item that they had
        self._start = self._size = 0

    async def run(self) -> Published:
        """Publishes what is new since the published checkpoint.

        Raises:
            Fork: what is published is not of the same tree. Carries both notes. Nothing was written.
            BadSignature: what is published was signed by another key.
            ProofError: our rows do not lead to the signed head. The checkpoint was not replaced.
            NotAvailableYet: more is published than is here.
            Conflict: another publisher was faster; run again.
        """
        note = (await self._store.head(self._log.id)).note
        head = self._head(note)
        found = await self._shelf.get(CHECKPOINT)
        async with self._keeping():
            published = self._open(found)
        if published is not None:
            await self._compare(published, head)
        before = published.size if published is not None else 0
        if found is None or found.data != note:
            await self._publish(head, before)
            await self._shelf.put_checkpoint(note, found)
            await self._tidy(before)
        return Published(head, before, self._shelf.files, self._shelf.bytes, len(self._erased))

    def _head(self, note: bytes) -> Checkpoint:
        """Our head. Its note is published as it is stored, with whoever cosigned it."""
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
        """Checks that our head follows from what is published; our own rows first, as they may be what is wrong."""
        if head.size < published.size:
            await self._compare_behind(head, published)
        proof: list[bytes] = []
        if 0 < published.size < head.size:
            spans = [(0, published.size), *prove.consistency_spans(published.size, head.size)]
            with _our_rows(head):
                root, *proof = prove.prove(spans, await self._rows(prove.needed(spans)))
                check_consistency(published.size, root, head.size, head.root, proof)
        async with self._keeping():
            LogVerifier(self._log.origin, self._verifiers, published, Edge()).accept(head.note, proof)

    async def _compare_behind(self, ours: Checkpoint, published: Checkpoint) -> None:
        """More is published than is here: by the tiles, the same log or a fork. Raises NotAvailableYet or Fork."""
        spans = prove.consistency_spans(ours.size, published.size)
        keys = sorted(prove.needed(spans))
        found = await asyncio.gather(*(self._shelf.get(_path(*key, published.size)) for key in keys))
        tiles = {key: tile.data for key, tile in zip(keys, found, strict=True) if tile is not None}
        state = f"{published.size} entries of {ours.origin} are published, and this database has {ours.size}"
        try:
            proof = prove.prove(spans, tiles)
        except Malformed as error:
            raise Unavailable(f"{state}; whether they agree cannot be told: {error}") from error
        async with self._keeping():
            LogVerifier(self._log.origin, self._verifiers, ours, Edge()).accept(published.note, proof)
        raise NotAvailableYet(f"{state}; bring it up to date first")

    @asynccontextmanager
    async def _keeping(self) -> AsyncIterator[None]:
        """A lie of the place is a mirror's evidence; the log stops there if it signed two trees of one size."""
        try:
            yield
        except Untrusted as lie:
            if isinstance(self._store, ReadStore):
                stop = contradicts_itself(lie, self._log.origin, self._verifiers)
                await self._store.evidence.contradict(self._log.id, lie, self._shelf.url, stop=stop)
            raise

    async def _publish(self, head: Checkpoint, before: int) -> None:
        """Writes everything but the checkpoint."""
        self._size, self._start = head.size, await self._resume(before, head.size)
        self._step(self._start)
        with _our_rows(head):
            edge = await self._store.edge(self._log.id, self._start)
            trusted = LogVerifier(self._log.origin, self._verifiers, head, edge)
            at = self._start - self._start % WIDTH
            rows, size = CachedLogReader(self._store), head.size
            reading = chunks.read(rows, self._log.id, at, size, size, lambda: limits.READ_AHEAD)
            if self._start < head.size:
                async with aclosing(reading):
                    async for chunk in reading:
                        await self._write(trusted.chunk(chunk))
        keys = edge_keys(head.size)
        await asyncio.gather(*(self._shelf.put(_path(*key, head.size), trusted.edge.tiles[key[0]]) for key in keys))

    async def _resume(self, before: int, size: int) -> int:
        """Where to go on: behind the stripes whose tile of level 1 is published, and is ours."""
        low, high = before // STRIPE, size // STRIPE
        while low < high:
            middle = (low + high) // 2
            found = await self._shelf.get(path(Tile(1, middle)))
            if found is not None and found.data == (await self._rows([(1, middle)]))[1, middle][: WIDTH * HASH]:
                low = middle + 1
            else:
                high = middle
        return max(before, low * STRIPE)

    async def _write(self, chunk: VerifiedChunk) -> None:
        """Writes the bundles of a chunk, then the tiles that it filled: those of level 1 after all others."""
        erased = self._erasures(chunk)
        full = {key: hashes for key, hashes in chunk.tiles.items() if len(hashes) == WIDTH * HASH}
        await asyncio.gather(
            *(self._shelf.put(entries_path(row.index, row.width), row.entries) for row in chunk.bundles),
            *(self._shelf.put(items_path(r.index, r.width), r.items) for r in chunk.bundles if r.items),
            *(self._shelf.put(path(Tile(*key)), hashes) for key, hashes in full.items() if key[0] == 0),
            *(self._erase(index) for index in erased),
        )
        for key in sorted((key for key in full if key[0] > 0), reverse=True):
            await self._shelf.put(path(Tile(*key)), full[key])
        self._step(chunk.end - chunk.start)

    def _erasures(self, chunk: VerifiedChunk) -> list[int]:
        """The bundles of which the chunk erases an item, each once a run. Raises ProofError for an item that lies."""
        if self._log.kind != "register":
            return []
        erased: set[int] = set()
        for row in open_chunk(chunk):
            if row.entry is not None and row.entry.type == "system":
                index = erased_index(row.entry.key)
                if index is not None and index < row.index:
                    erased.add(index // WIDTH)
        new = sorted(erased - self._erased)
        self._erased |= erased
        return new

    async def _erase(self, index: int) -> None:
        """A bundle that an earlier run may have written: again, as it is in the database by now, and no older copy."""
        if index < self._start // WIDTH:
            (row,) = await self._store.bundles(self._log.id, index, index + 1, 1)
            await self._shelf.put(items_path(index), row.items)
        keep = items_path(index, tile_width(0, index, self._size))
        await self._shelf.delete_partials(items_path(index), keep)

    async def _tidy(self, before: int) -> None:
        """Deletes the partial tiles and bundles of before that are full by now."""
        filled = [key for key in edge_keys(before) if tile_width(*key, self._size) == WIDTH]
        names = [path(Tile(*key)) for key in filled]
        names += [name(index) for level, index in filled if level == 0 for name in (entries_path, items_path)]
        await asyncio.gather(*map(self._shelf.delete_partials, names))

    async def _rows(self, keys: Sequence[Key] | set[Key]) -> dict[Key, bytes]:
        return await self._store.tiles(self._log.id, keys)


@contextmanager
def _our_rows(head: Checkpoint) -> Iterator[None]:
    try:
        yield
    except (Untrusted, Malformed) as damage:
        reason = f"our rows of {head.origin} do not lead to its signed head: {damage}; run mintmark fsck"
        raise ProofError(reason, head.note) from damage


def _path(level: int, index: int, size: int) -> str:
    """The path of a tile as wide as it is in a tree of `size`."""
    return path(Tile(level, index, tile_width(level, index, size)))
