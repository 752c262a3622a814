"""A source of one log that is static files at a URL (C2SP tlog-tiles): a CDN, a bucket, or a read API's /{name}/log/.

    checkpoint                 polled, with jitter: it is the stream of heads
    tile/<L>/<N>[.p/<W>]       the proofs are made here, of tiles
    tile/entries/<N>[.p/<W>]   the bundles, and tile/items/<N>[.p/<W>] beside them for a register

What it hands on is no more trusted than what a gRPC source sends, and is verified alike. A partial tile or bundle may
be gone once the full one is there; then that is taken, cut. Nodes of a CDN may be behind one another: a head that the
larger one's tiles contain is merely old, and is not shown; any other is, for the mirror to judge.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, NotAvailableYet, NotFound, Unavailable
from mintmark.register.entry import parse_entry
from mintmark.rpc import chunks, limits
from mintmark.rpc.client import RpcClient, Watched
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.sources.http_files import HttpFiles
from mintmark.tlog import bundle, prove
from mintmark.tlog.kernel import EMPTY_ROOT, HASH, WIDTH
from mintmark.tlog.note import parse_note
from mintmark.tlog.origin import short_name
from mintmark.tlog.text import TreeHead, parse_tree_head
from mintmark.tlog.tile import Tile, entries_path, items_path, path, tile_width
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence

    from mintmark.tlog.tile import Key
    from mintmark.tlog.trust import Chunk

EVERY = 3.0  # seconds between looks at the checkpoint, give or take a half
AHEAD, AHEAD_BYTES = 8, 8 * 2**20  # bundles that are fetched ahead: so many, or fewer where they are large
KEPT = 256  # tiles that are kept while entries are read
MOST_NOTE = 128 * 2**10  # bytes
MOST_BUNDLE = WIDTH * (2 + bundle.MAX_ENTRY_BYTES)


class TilesLog(NamedTuple):
    """The log that is at the URL."""

    origin: str
    kind: int


class _Head(NamedTuple):
    note: bytes
    tree: TreeHead  # as the note says; nobody has verified it


def open_source(address: str) -> RpcClient | TilesSource:
    """The source at an address of the configuration: HOST:PORT over gRPC, a URL over HTTP."""
    return TilesSource(address.rstrip("/") + "/") if "://" in address else RpcClient(address)


def expand(sources: Iterable[str], origins: Iterable[str]) -> list[str]:
    """The addresses of sources for these logs: a URL with `{name}` in it is one for each."""
    names = [short_name(origin) for origin in sorted(origins)]
    each = ([s.replace("{name}", name) for name in names] if "{name}" in s else [s] for s in sources)
    return [address for addresses in each for address in addresses]


class TilesSource:
    """The log at a URL. Its methods are those of `mirror.source.Source`."""

    def __init__(self, url: str) -> None:
        self.address = url
        self._files = HttpFiles(url)
        self._newest: _Head | None = None
        self._kinds: dict[str, int] = {}

    async def close(self) -> None:
        """Ends its connections."""
        await self._files.close()

    async def logs(self) -> list[TilesLog]:
        """The log, once it has an entry: what kind it is of shows in its files."""
        tree = (await self._head()).tree
        return [TilesLog(tree.origin, await self._kind(tree.origin, tree.size))] if tree.size else []

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Watched]:
        """The present note, then each new one."""
        shown = b""
        while True:
            note, tree = await self._head()
            if origins and tree.origin not in origins:
                raise NotFound(f"{self.address} is {tree.origin}, which is not followed here: its key is not trusted")
            if tree.size == 0:
                raise NotAvailableYet(f"{self.address} has no entries yet")
            if note != shown:
                yield Watched(tree.origin, note, await self._kind(tree.origin, tree.size))
                shown = note
            await asyncio.sleep(EVERY * random.uniform(0.5, 1.5))  # noqa: S311  # jitter

    async def checkpoint(self, origin: str) -> bytes:
        """The present note."""
        head = await self._head()
        if head.tree.origin != origin:
            raise NotFound(f"{self.address} is {head.tree.origin}, not {origin}")
        return head.note

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`, made of tiles."""
        spans = prove.consistency_spans(old_size, size)
        return prove.prove(spans, await _Tiles(self._files, size).get(prove.needed(spans)))

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncGenerator[Chunk, None]:
        """Chunks that cover [start, end), each with its proof against `size`, from the bundle that holds `start`."""
        tiles = _Tiles(self._files, size)
        at = start - start % WIDTH
        rows: list[Bundle] = []
        kind = await self._kind(origin, size)
        async with aclosing(self._bundles(at // WIDTH, end, size, kind)) as bundles:
            async for row in bundles:
                rows.append(row)
                stop = min(end, at + len(rows) * WIDTH)
                if stop < end and len(rows) < limits.CHUNK_BUNDLES and _bytes(rows) < limits.CHUNK:
                    continue
                for lo, hi in chunks.plan(rows, at, stop):
                    spans = prove.subtree_spans(lo, hi, size)
                    proof = prove.prove(spans, await tiles.get(prove.needed(spans)))
                    yield chunks.make(lo, hi, rows[(lo - at) // WIDTH :], proof)
                at, rows = stop, []

    async def _head(self) -> _Head:
        """The largest head that is known. Raises NotFound where there is none, Malformed where it is no checkpoint."""
        note = await self._files.get("checkpoint", MOST_NOTE)
        if note is None:
            raise NotFound(
                f"{self.address} has no checkpoint; a source's URL is the place that a log's checkpoint is in"
            )
        head, newest = _Head(note, parse_tree_head(parse_note(note)[0])), self._newest
        if newest is not None and head.tree.size < newest.tree.size and await self._is_old(head.tree, newest.tree):
            return newest
        self._newest = head
        return head

    async def _is_old(self, tree: TreeHead, newer: TreeHead) -> bool:
        """Whether the newer tree begins with this one, by the tiles that are there."""
        if tree.origin != newer.origin:
            return False
        if tree.size == 0:
            return tree.root == EMPTY_ROOT
        spans = [(0, tree.size)]
        tiles = await _Tiles(self._files, newer.size).get(prove.needed(spans))
        return prove.prove(spans, tiles)[0] == tree.root

    async def _kind(self, origin: str, size: int) -> int:
        """A register has items beside its entries. Raises Unavailable where only the entries look like one."""
        if (kind := self._kinds.get(origin)) is not None:
            return kind
        kind = pb.KIND_OPAQUE
        width = min(WIDTH, size)
        if await _wide(self._files, lambda w: items_path(0, w), width, MOST_BUNDLE) is not None:
            kind = pb.KIND_REGISTER
        elif _is_register(await self._file(lambda w: entries_path(0, w), width)):
            raise Unavailable(
                f"{self.address} has a register's entries and no {items_path(0, width)}; publish it again"
            )
        self._kinds[origin] = kind
        return kind

    async def _bundles(self, first: int, end: int, size: int, kind: int) -> AsyncGenerator[Bundle, None]:
        """The bundles from `first` on that hold entries up to `end`, in order, while those that follow are fetched."""
        coming: deque[asyncio.Task[Bundle]] = deque()
        at, largest = first, 1
        try:
            while coming or at * WIDTH < end:
                while at * WIDTH < end and len(coming) < min(AHEAD, max(1, AHEAD_BYTES // largest)):
                    coming.append(asyncio.create_task(self._bundle(at, tile_width(0, at, size), kind)))
                    at += 1
                row = await coming[0]
                coming.popleft()
                largest = max(largest, _bytes([row]))
                yield row
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _bundle(self, index: int, width: int, kind: int) -> Bundle:
        entries = await self._file(lambda w: entries_path(index, w), width)
        items = await self._file(lambda w: items_path(index, w), width) if kind == pb.KIND_REGISTER else b""
        return Bundle(index, width, entries, items)

    async def _file(self, name: Callable[[int], str], width: int) -> bytes:
        """A bundle of `width`. Raises NotAvailableYet where there is none."""
        if (found := await _wide(self._files, name, width, MOST_BUNDLE)) is None:
            raise NotAvailableYet(f"{self.address}{name(width)} is not there")
        data, wide = found
        return data if wide == width else bundle.take(data, width)


class _Tiles:
    """The tiles of a tree of `size`, kept for as long as one question takes: those near the root come again and again.

    No longer, for a bad one that was mended at its source must not be believed from memory.
    """

    def __init__(self, files: HttpFiles, size: int) -> None:
        self._files, self._size = files, size
        self._kept: OrderedDict[Key, bytes] = OrderedDict()

    async def get(self, keys: Collection[Key]) -> dict[Key, bytes]:
        """These tiles, as wide as the tree has them. Raises NotAvailableYet for one that is lacking, Malformed."""
        missing = [key for key in keys if key not in self._kept]
        self._kept.update(zip(missing, await asyncio.gather(*map(self._tile, missing)), strict=True))
        found = {key: self._kept[key] for key in keys}
        for key in keys:
            self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    async def _tile(self, key: Key) -> bytes:
        width = tile_width(*key, self._size)
        found = await _wide(self._files, lambda w: path(Tile(*key, w)), width, WIDTH * HASH)
        if found is None:
            raise NotAvailableYet(f"{self._files.url}{path(Tile(*key, width))} is not there")
        hashes, wide = found
        if len(hashes) != wide * HASH:
            raise Malformed(f"{self._files.url}{path(Tile(*key, wide))} has {len(hashes)} bytes, not {wide * HASH}")
        return hashes[: width * HASH]


async def _wide(files: HttpFiles, name: Callable[[int], str], width: int, most: int) -> tuple[bytes, int] | None:
    """The file of a width, or the full one that took its place; with the width that it has."""
    for wide in dict.fromkeys((width, WIDTH)):
        if (data := await files.get(name(wide), most)) is not None:
            return data, wide
    return None


def _bytes(rows: Sequence[Bundle]) -> int:
    return sum(len(row.entries) + len(row.items) for row in rows)


def _is_register(entries: bytes) -> bool:
    try:
        parse_entry(bundle.cut(entries)[0])
    except (Malformed, IndexError):
        return False
    return True
