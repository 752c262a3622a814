"""A source of one log that is static files at a URL (C2SP tlog-tiles): a CDN, a bucket, or a read API's /{name}/log/.

    checkpoint                 polled, with jitter: it is the stream of heads
    tile/<L>/<N>[.p/<W>]       the proofs are made here, of tiles
    tile/entries/<N>[.p/<W>]   the bundles, and tile/items/<N>[.p/<W>] beside them for a register

Its answers are no more trusted than those of a gRPC source, and are verified alike. What a web server, a cache or a
proxy answers in a file's place, with status 200, says nothing of the log: a file that does not parse as what it is
asked for is asked for again, past caches, and is then not available. A partial tile or bundle may be
gone once the full one is there; then that is taken, cut. Nodes of a CDN may be behind one another: a head that the
larger one's tiles contain is merely old, and is not shown; any other is, for the mirror to judge.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, NotAvailableYet, NotFound, Unavailable
from mintmark.formats import FORMATS
from mintmark.sources.http_files import CHECKPOINT_PATH, HttpFiles
from mintmark.sources.parsed_files import Tiles, get_parsed
from mintmark.sources.source import MAX_NOTE_BYTES, Announcement, Confirmation, ListedLog
from mintmark.tlog import bundle, prove
from mintmark.tlog.checkpoint import read_tree_head
from mintmark.tlog.chunk import CHUNK_BYTES, MAX_CHUNK_BUNDLES, count_bytes, make_chunk, plan_chunks
from mintmark.tlog.kernel import EMPTY_ROOT, TILE_WIDTH
from mintmark.tlog.tile import tile_width
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from mintmark.formats import Format, LogKind
    from mintmark.tlog.text import TreeHead
    from mintmark.tlog.trust import Chunk

POLL_INTERVAL_SECONDS = 3.0  # between looks at the checkpoint, give or take a half
MAX_AHEAD_BUNDLES, MAX_AHEAD_BYTES = 8, 8 * 2**20  # fetched ahead: so many bundles, or fewer where they are large
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + bundle.MAX_ENTRY_BYTES)


class _Head(NamedTuple):
    note: bytes
    tree: TreeHead  # as the note says; nobody has verified it


class TilesSource:
    """The log at a URL, which ends with a slash. Its methods are those of `sources.source.Source`."""

    def __init__(self, url: str, poll_interval: float = POLL_INTERVAL_SECONDS) -> None:
        self.address = url
        self._files, self._poll_interval = HttpFiles(url), poll_interval
        self._newest: _Head | None = None
        self._kinds: dict[str, LogKind] = {}

    @property
    def past_caches(self) -> bool:
        """True while caches on the way are to ask the server of the files."""
        return self._files.past_caches

    @past_caches.setter
    def past_caches(self, past: bool) -> None:
        self._files.past_caches = past

    def on_bytes(self, call: Callable[[], None]) -> None:
        """Has a function called whenever bytes of a file come."""
        self._files.on_bytes = call

    async def close(self) -> None:
        """Ends its connections."""
        await self._files.close()

    async def logs(self) -> list[ListedLog]:
        """The log. Its files show of which kind it is; while it has no entry, nothing does, and any kind will do."""
        tree = (await self._head()).tree
        kind = await self._kind(tree.origin, tree.size) if tree.size else "opaque"
        return [ListedLog(tree.origin, kind, tree.size, 0.0 if self._files.confirmed else None)]

    async def watch(self, origins: Sequence[str] = ()) -> AsyncGenerator[Announcement | Confirmation, None]:
        """The present note, then each new one; each look at it confirms the last."""
        shown = b""
        while True:
            note, tree = await self._head()
            if origins and tree.origin not in origins:
                raise NotFound(f"{self.address} is {tree.origin}, which is not followed here: its key is not trusted")
            if tree.size == 0:
                raise NotAvailableYet(f"{self.address} has no entries yet")
            if note != shown:
                yield Announcement(tree.origin, note, await self._kind(tree.origin, tree.size))
                shown = note
            yield Confirmation(0.0, frozenset() if self._files.confirmed else frozenset({tree.origin}))
            await asyncio.sleep(self._poll_interval * random.uniform(0.5, 1.5))  # noqa: S311  # jitter

    async def checkpoint(self, origin: str) -> bytes:
        """The present note."""
        head = await self._head()
        if head.tree.origin != origin:
            raise NotFound(f"{self.address} is {head.tree.origin}, not {origin}")
        return head.note

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`, made of tiles."""
        spans = prove.consistency_spans(old_size, size)
        return prove.prove(spans, await Tiles(self._files, size).get(prove.needed(spans)))

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncGenerator[Chunk, None]:
        """Chunks that cover [start, end), each with its proof against `size`, from the bundle that holds `start`."""
        tiles = Tiles(self._files, size)
        at = start - start % TILE_WIDTH
        rows: list[Bundle] = []
        kind = await self._kind(origin, size)
        async with aclosing(self._bundles(at // TILE_WIDTH, end, size, kind)) as bundles:
            async for row in bundles:
                rows.append(row)
                stop = min(end, at + len(rows) * TILE_WIDTH)
                if stop < end and len(rows) < MAX_CHUNK_BUNDLES and count_bytes(rows) < CHUNK_BYTES:
                    continue
                for lo, hi in plan_chunks(rows, at, stop):
                    spans = prove.subtree_spans(lo, hi, size)
                    proof = prove.prove(spans, await tiles.get(prove.needed(spans)))
                    yield make_chunk(lo, hi, rows[(lo - at) // TILE_WIDTH :], proof)
                at, rows = stop, []

    async def _head(self) -> _Head:
        """The largest head that is known. Raises NotFound where there is none, Unavailable for no checkpoint."""
        if (head := await get_parsed(self._files, {CHECKPOINT_PATH: _parse_head}, MAX_NOTE_BYTES)) is None:
            raise NotFound(
                f"{self.address} has no checkpoint; a source's URL is the place that a log's checkpoint is in"
            )
        newest = self._newest
        if newest is not None and head.tree.size < newest.tree.size and await self._is_old(head.tree, newest.tree):
            return newest
        self._newest = head
        return head

    async def _is_old(self, tree: TreeHead, newer: TreeHead) -> bool:
        """True if the newer tree begins with this one, by the tiles that are there."""
        if tree.origin != newer.origin:
            return False
        if tree.size == 0:
            return tree.root == EMPTY_ROOT
        spans = [(0, tree.size)]
        tiles = await Tiles(self._files, newer.size).get(prove.needed(spans))
        return prove.prove(spans, tiles)[0] == tree.root

    async def _kind(self, origin: str, size: int) -> LogKind:
        """The kind of the log: a register's first entry tells it, and it has items beside its entries.

        Raises:
            Unavailable: only the entries are a register's.
        """
        if (kind := self._kinds.get(origin)) is None:
            kind = self._kinds[origin] = await self._find_kind(min(TILE_WIDTH, size))
        return kind

    async def _find_kind(self, width: int) -> LogKind:
        register = FORMATS["register"]
        (name, items), (full, full_items) = register.bundle_paths(0, width), register.bundle_paths(0, TILE_WIDTH)
        if not register.begins_with(await self._file(register, name, full, width)):
            return "opaque"
        try:
            await self._file(register, items, full_items, width)
        except NotAvailableYet:
            raise Unavailable(f"{self.address} has a register's entries and no {items}; publish it again") from None
        return "register"

    async def _bundles(self, first: int, end: int, size: int, kind: LogKind) -> AsyncGenerator[Bundle, None]:
        """The bundles from `first` on that hold entries up to `end`, in order, while those that follow are fetched."""
        coming: deque[asyncio.Task[Bundle]] = deque()
        at, largest = first, 1
        try:
            while coming or at * TILE_WIDTH < end:
                ahead = min(MAX_AHEAD_BUNDLES, max(1, MAX_AHEAD_BYTES // largest))
                while at * TILE_WIDTH < end and len(coming) < ahead:
                    coming.append(asyncio.create_task(self._bundle(at, tile_width(0, at, size), kind)))
                    at += 1
                row = await coming[0]
                coming.popleft()
                largest = max(largest, count_bytes([row]))
                yield row
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _bundle(self, index: int, width: int, kind: LogKind) -> Bundle:
        format_ = FORMATS[kind]
        names = zip(format_.bundle_paths(index, width), format_.bundle_paths(index, TILE_WIDTH), strict=True)
        entries, *beside = [await self._file(format_, name, full, width) for name, full in names]
        return Bundle(index, width, entries, b"".join(beside))

    async def _file(self, format_: Format, name: str, full: str, width: int) -> bytes:
        """A file of a bundle of `width`. Raises NotAvailableYet where there is none, Unavailable for no bundle."""
        parsers = {each: partial(_cut_bundle, format_, each == name, width) for each in (name, full)}
        if (found := await get_parsed(self._files, parsers, MAX_BUNDLE_BYTES)) is None:
            raise NotAvailableYet(f"{self.address}{name} is not there")
        return found


def _parse_head(note: bytes) -> _Head:
    return _Head(note, read_tree_head(note))


def _cut_bundle(format_: Format, whole: bool, width: int, data: bytes) -> bytes:
    """The first `width` entries of a bundle's file, which holds no more if it is `whole`."""
    entries = format_.cut_bundle(data, width)
    if whole and len(entries) != len(data):
        raise Malformed(f"more than {width} entries")
    return entries
