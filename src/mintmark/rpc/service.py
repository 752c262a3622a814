"""The gRPC service `Log`, over any reader of logs: the mint's store or a mirror's.

Bytes go from the database to the wire as they are. What is read for a client is held until the client has taken it:
out of one budget, so that clients who do not read cannot fill the memory, nor keep others from reading.
"""

from __future__ import annotations

import asyncio
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mintmark.aio import ByteBudget
from mintmark.errors import Malformed, NotAvailableYet
from mintmark.rpc.calls import end_call
from mintmark.rpc.confirmations import CONFIRM_SECONDS
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.status import stream, unary
from mintmark.rpc.transport import (
    MAX_ANSWERED_BYTES,
    MAX_READ_AHEAD_BYTES,
    MAX_TILES_PER_REQUEST,
    READ_AHEAD_BYTES,
    SLOW_SECONDS,
    UNKNOWN_READ_BYTES,
    WIRE_KINDS,
)
from mintmark.tlog import prove
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import grpc

    from mintmark.aio import HeldBytes
    from mintmark.rpc.confirmations import Confirmations, LastLook
    from mintmark.tlog import merkle
    from mintmark.tlog.trust import Chunk

    Context = grpc.aio.ServicerContext[Any, Any]


class ServedLog(Protocol):
    """A log that is served."""

    @property
    def id(self) -> int: ...
    @property
    def origin(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Literal["opaque", "register"]: ...


class SignedHead(Protocol):
    """A signed head."""

    @property
    def size(self) -> int: ...
    @property
    def note(self) -> bytes: ...


class LogReader(Protocol):
    """Reads logs in batches, each in one query. Raises NotFound, NotAvailableYet for what is not there."""

    async def logs(self) -> Sequence[ServedLog]: ...
    async def log(self, origin: str) -> ServedLog: ...
    async def head(self, log: int, size: int = 0) -> SignedHead: ...
    async def heads(self, logs: Collection[int]) -> Mapping[int, SignedHead]: ...
    async def tiles(self, log: int, keys: Collection[tuple[int, int]], size: int) -> dict[tuple[int, int], bytes]: ...
    async def read_chunks(self, log: int, start: int, end: int, size: int, max_bytes: int) -> list[Chunk]: ...
    async def leaf_index(self, log: int, leaf_hash: bytes, size: int) -> int: ...


class HeadSubscription(Protocol):
    """Gives the ids of logs that moved, as they move."""

    async def moved(self) -> set[int]: ...
    @property
    def waiting(self) -> bool: ...


class HeadFeed(Protocol):
    """Announces heads that move."""

    def subscribe(self) -> AbstractAsyncContextManager[HeadSubscription]: ...


class LogService(log_pb2_grpc.LogServicer):
    """Serves every log of a reader."""

    def __init__(self, reader: LogReader, feed: HeadFeed, confirmations: Confirmations) -> None:
        self._reader, self._feed, self._confirmations = reader, feed, confirmations
        self._held = ByteBudget(MAX_ANSWERED_BYTES, SLOW_SECONDS)
        self._streams = 0  # of entries, open now
        self._bundle_bytes: dict[int, int] = {}  # by log: the largest bundle of its last read

    @unary
    async def ListLogs(self, request: pb.ListLogsRequest, context: Context) -> pb.ListLogsResponse:  # noqa: N802
        """Every log that has a head."""
        look = self._confirmations.last
        logs = await self._reader.logs()
        heads = await self._reader.heads([log.id for log in logs])
        infos = [
            pb.LogInfo(origin=log.origin, name=log.name, kind=WIRE_KINDS[log.kind], size=heads[log.id].size)
            for log in logs
            if log.id in heads
        ]
        age, unconfirmed = _confirmed(look, {info.origin for info in infos})
        return pb.ListLogsResponse(logs=infos, age_ms=age, unconfirmed=unconfirmed)

    @unary
    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Context) -> pb.GetCheckpointResponse:  # noqa: N802
        """The present signed head."""
        _, head = await self._open(request.origin)
        return pb.GetCheckpointResponse(note=head.note)

    @stream
    async def WatchCheckpoints(  # noqa: N802
        self, request: pb.WatchCheckpointsRequest, context: Context
    ) -> AsyncIterator[pb.WatchCheckpointsResponse]:
        """The present heads, then each that moves, and confirmations. A log that is not here yet is watched as soon as
        it comes.

        Subscribed before the first read, so that no move falls between. In a mirror the kind of a log is settled by its
        first entries. A look told of each move that it saw: once these are sent, it confirms what was sent.
        """
        wanted, confirmed = set(request.origins), None
        async with self._feed.subscribe() as subscription:
            logs = {log.id: log for log in await self._reader.logs()}
            moved, empty = set(logs), set[int]()
            while True:
                watched = {log for log in moved if not wanted or (log in logs and logs[log].origin in wanted)}
                heads = await self._reader.heads(watched) if watched else {}
                empty = (empty | watched) - {log for log, head in heads.items() if head.size}
                for log, head in heads.items():
                    yield _watched(logs[log], head)
                look = self._confirmations.last
                if look is not None and look is not confirmed and not subscription.waiting:
                    confirmed = look
                    named = {log.origin for log in logs.values() if not wanted or log.origin in wanted}
                    age, unconfirmed = _confirmed(look, named)
                    yield pb.WatchCheckpointsResponse(age_ms=age, unconfirmed=unconfirmed)
                moved = await _moved(subscription)
                if not moved <= logs.keys() - empty:
                    logs = {log.id: log for log in await self._reader.logs()}

    @stream
    async def GetEntries(  # noqa: N802
        self, request: pb.GetEntriesRequest, context: Context
    ) -> AsyncIterator[pb.GetEntriesResponse]:
        """Whole bundles from the one that holds `start`, each message a valid subtree with its proof."""
        log, head = await self._open(request.origin, request.size)
        start, end, size = request.start, request.end, request.size
        if not 0 <= start < end <= size:
            raise Malformed(f"entries [{start}, {end}) of size {size}: ask for 0 <= start < end <= size")
        _within(size, head)
        self._streams += 1
        try:
            at = start - start % TILE_WIDTH
            async with self._hold(self._expected_bytes(log.id)) as held:
                while at < end:
                    chunks = await self._reader.read_chunks(log.id, at, end, size, self._read_ahead())
                    self._bundle_bytes[log.id] = max(_size(chunk) // len(chunk.entries) for chunk in chunks)
                    self._held.resize(held, sum(map(_size, chunks)) + max(map(_size, chunks)))
                    at = chunks[-1].end
                    while chunks:
                        yield _message(chunks.pop(0))  # what is sent is not held here as well
                        held.touch()
        finally:
            self._streams -= 1

    @unary
    async def GetTiles(self, request: pb.GetTilesRequest, context: Context) -> pb.GetTilesResponse:  # noqa: N802
        """Tiles, each cut to the width asked for. A tile beyond the present head is not served."""
        log, head = await self._open(request.origin)
        if len(request.tiles) > MAX_TILES_PER_REQUEST:
            raise Malformed(f"{len(request.tiles)} tiles in one call; ask for at most {MAX_TILES_PER_REQUEST}")
        for ref in request.tiles:
            if not (0 <= ref.level <= 7 and ref.index >= 0 and 1 <= ref.width <= TILE_WIDTH):
                raise Malformed(f"no such tile: level {ref.level}, index {ref.index}, width {ref.width}")
            if ref.index * TILE_WIDTH + ref.width > head.size >> 8 * ref.level:
                raise NotAvailableYet(
                    f"tile {ref.level}/{ref.index} of width {ref.width} is beyond the head at {head.size}"
                )
        found = await self._reader.tiles(log.id, {(ref.level, ref.index) for ref in request.tiles}, head.size)
        return pb.GetTilesResponse(hashes=[found[r.level, r.index][: r.width * HASH_BYTES] for r in request.tiles])

    @unary
    async def GetInclusionProof(  # noqa: N802
        self, request: pb.GetInclusionProofRequest, context: Context
    ) -> pb.GetInclusionProofResponse:
        """RFC 6962 audit path of one entry, by index or by leaf hash."""
        log, head = await self._open(request.origin, request.size)
        size = request.size or head.size
        _within(size, head)
        index = request.index
        match request.WhichOneof("leaf"):
            case "leaf_hash" if len(request.leaf_hash) == HASH_BYTES:
                index = await self._reader.leaf_index(log.id, request.leaf_hash, size)
            case "leaf_hash":
                raise Malformed(f"a leaf hash of {len(request.leaf_hash)} bytes; send {HASH_BYTES}")
            case None:
                raise Malformed("say which entry: send its index, or its leaf hash")
        if not 0 <= index < size:
            raise NotAvailableYet(f"no entry {index} in the tree of size {size}")
        proof = await self._prove(log.id, prove.inclusion_spans(index, size), size)
        note = head.note if size == head.size else b""
        return pb.GetInclusionProofResponse(index=index, size=size, proof=proof, note=note)

    @unary
    async def GetConsistencyProof(  # noqa: N802
        self, request: pb.GetConsistencyProofRequest, context: Context
    ) -> pb.GetConsistencyProofResponse:
        """RFC 6962 consistency proof between two sizes; empty from 0, and between equal sizes."""
        log, head = await self._open(request.origin, request.size)
        if not 0 <= request.old_size <= request.size:
            raise Malformed(f"consistency of {request.old_size} with {request.size}: ask for 0 <= old_size <= size")
        _within(request.size, head)
        spans = prove.consistency_spans(request.old_size, request.size)
        proof = await self._prove(log.id, spans, request.size)
        return pb.GetConsistencyProofResponse(proof=proof)

    def _hold(self, count: int) -> AbstractAsyncContextManager[HeldBytes]:
        """Holds bytes for one call, which is ended if its client takes none of them and others wait."""
        call = asyncio.current_task()
        return self._held.hold(count, partial(end_call, call) if call is not None else None)

    def _read_ahead(self) -> int:
        """Bytes of one read: a share of the budget, as they are held for as long as the client takes."""
        return min(READ_AHEAD_BYTES, MAX_READ_AHEAD_BYTES // self._streams)

    def _expected_bytes(self, log: int) -> int:
        """What a read will hold: its bytes, and a copy of the message that is on its way."""
        known = self._bundle_bytes.get(log)
        return UNKNOWN_READ_BYTES if known is None else 2 * max(known, self._read_ahead())

    async def _open(self, origin: str, size: int = 0) -> tuple[ServedLog, SignedHead]:
        """A log, and its head: the newest, or where `size` is given, one that covers so many entries."""
        log = await self._reader.log(origin)
        return log, await self._reader.head(log.id, size)

    async def _prove(self, log: int, spans: Sequence[merkle.Span], size: int) -> list[bytes]:
        return prove.prove(spans, await self._reader.tiles(log, prove.needed(spans), size))


def _message(c: Chunk) -> pb.GetEntriesResponse:
    return pb.GetEntriesResponse(start=c.start, end=c.end, entries=c.entries, items=c.items, proof=c.proof)


def _size(chunk: Chunk) -> int:
    return sum(map(len, chunk.entries)) + sum(map(len, chunk.items))


def _within(size: int, head: SignedHead) -> None:
    if size > head.size:
        raise NotAvailableYet(f"size {size} is beyond the head at {head.size}")


def _watched(log: ServedLog, head: SignedHead) -> pb.WatchCheckpointsResponse:
    return pb.WatchCheckpointsResponse(origin=log.origin, note=head.note, kind=WIRE_KINDS[log.kind])


async def _moved(subscription: HeadSubscription) -> set[int]:
    """The logs that moved; none where it is time to look for a confirmation."""
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            return await subscription.moved()
    except TimeoutError:
        return set()


def _confirmed(look: LastLook | None, origins: Collection[str]) -> tuple[int, list[str]]:
    """What can be said for these logs: the age of the evidence in milliseconds, and those that there is none for."""
    if look is None:
        return 0, sorted(origins)
    return ceil(look.age * 1000), sorted(origin for origin in look.heads.unconfirmed if origin in origins)
