"""A source of one log that can lie in every way. A lie is a value, and a mirror must refuse it.

`World` is an honest log in memory, made of the project's own core. `Lie` names what goes wrong on the way out. The
same world can be a source itself or be served over gRPC (`serve`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

import grpc

from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.server import SERVER_OPTIONS
from mintmark.rpc.transport import WIRE_KINDS
from mintmark.sources.source import Announcement, ListedLog
from mintmark.tlog import bundle, merkle, prove
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH, leaf_hashes
from mintmark.tlog.note import Signer, format_note, generate_skey, parse_note, parse_vkey
from mintmark.tlog.trust import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from mintmark.formats import LogKind

ORIGIN = "world.example/things"


class Lie(Enum):
    """A fault of a source. Its value is the name of the error that must come of it, and a word."""

    NOTHING = ""
    FLIP_ENTRY = "ProofError entry"
    FLIP_PROOF = "ProofError proof"
    FLIP_CONSISTENCY = "Fork consistency"
    FLIP_ROOT = "BadSignature root"
    FLIP_SIGNATURE = "BadSignature signature"
    FLIP_ITEM = "ProofError item"
    TRUNCATE_BUNDLE = "Malformed bundle"
    TRUNCATE_STREAM = "Unavailable stream"
    REORDER_ENTRIES = "ProofError reorder"
    REORDER_CHUNKS = "ProofError chunks"
    DROP_ENTRY = "Malformed drop"
    DROP_CHUNK = "ProofError chunk"
    DUPLICATE_ENTRY = "Malformed duplicate"
    DUPLICATE_CHUNK = "ProofError duplicate"
    EXTRA_BUNDLE = "Malformed extra"
    FOREIGN_KEY = "BadSignature key"
    FOREIGN_ORIGIN = "Malformed origin"
    FORK = "Fork"
    ROLL_BACK = "Rollback"
    WITHHOLD_ITEM = "NotAvailableYet item"
    STALE = "NotAvailableYet stale"


@dataclass
class World:
    """One log, every size of which was signed."""

    origin: str = ORIGIN
    kind: LogKind = "opaque"
    signer: Signer = field(default_factory=lambda: generate_skey(ORIGIN))
    lie: Lie = Lie.NOTHING
    address: str = "world:1"
    entries_: list[bytes] = field(default_factory=list)
    items: list[bytes] = field(default_factory=list)
    edge: Edge = field(default_factory=Edge)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    notes: list[bytes] = field(default_factory=list)

    @property
    def verifiers(self) -> list[object]:
        return [parse_vkey(self.signer.vkey)]

    @property
    def size(self) -> int:
        return len(self.entries_)

    def append(self, entries: Sequence[bytes], items: Sequence[bytes] = ()) -> None:
        """Appends, and signs the new head."""
        self.entries_ += entries
        self.items += items
        self.edge, touched = self.edge.extend(leaf_hashes(bundle.join(entries)))
        self.tiles.update(touched)
        self.notes.append(sign_checkpoint(self.origin, self.size, self.edge.root(), [self.signer]).note)

    def fork(self, at: int, entries: Sequence[bytes]) -> World:
        """Another history from `at` on, signed by the same key."""
        other = World(self.origin, self.kind, self.signer, address=self.address)
        other.append(self.entries_[:at], self.items[:at])
        other.append(entries)
        return other

    async def logs(self) -> list[ListedLog]:
        return [ListedLog(self.origin, self.kind)]

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Announcement]:
        for note in self.shown():
            yield Announcement(self.origin, note, self.kind)

    def shown(self) -> list[bytes]:
        """The heads that a stream shows, in order."""
        if self.lie is Lie.ROLL_BACK:
            return [self.notes[-1], self.notes[-2]]
        return [self._signed(self.notes[-2] if self.lie is Lie.STALE else self.notes[-1])]

    async def checkpoint(self, origin: str) -> bytes:
        return self.shown()[-1]

    def _signed(self, note: bytes) -> bytes:
        root = self.edge.root()
        if self.lie is Lie.FOREIGN_KEY:
            return sign_checkpoint(self.origin, self.size, root, [generate_skey(self.origin)]).note
        if self.lie is Lie.FOREIGN_ORIGIN:
            return sign_checkpoint("world.example/other", self.size, root, [self.signer]).note
        if self.lie is Lie.FLIP_ROOT:
            return note.replace(note.split(b"\n")[2][:8], b"AAAAAAAA")
        if self.lie is Lie.FLIP_SIGNATURE:
            text, (line,) = parse_note(note)
            return format_note(text, [line._replace(signature=flip(line.signature, 20))])
        return note

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        spans = prove.consistency_spans(old_size, size)
        proof = prove.prove(spans, self.tiles)
        return [flip(proof[0], 3), *proof[1:]] if self.lie is Lie.FLIP_CONSISTENCY and proof else proof

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        chunks = []
        at = start - start % TILE_WIDTH
        while at < end:
            stop = merkle.next_chunk(at, end, 2 * TILE_WIDTH)
            chunks.append(self._chunk(at, stop, size))
            at = stop
        for chunk in self._chunks(chunks):
            yield chunk

    def _chunk(self, start: int, end: int, size: int) -> Chunk:
        cuts = range(start, end, TILE_WIDTH)
        entries = tuple(bundle.join(self.entries_[i : min(i + TILE_WIDTH, end)]) for i in cuts)
        items = tuple(bundle.join(self.items[i : min(i + TILE_WIDTH, end)]) for i in cuts) if self.items else ()
        proof = prove.prove(prove.subtree_spans(start, end, size), self.tiles)
        return Chunk(start, end, entries, items, tuple(proof))

    def _chunks(self, chunks: list[Chunk]) -> list[Chunk]:
        """The lies that are told with chunks; the last chunk is the one that is spoilt."""
        match self.lie:
            case Lie.TRUNCATE_STREAM | Lie.DROP_CHUNK:
                at = -1 if self.lie is Lie.TRUNCATE_STREAM else 0
                del chunks[at]
            case Lie.REORDER_CHUNKS:
                chunks.reverse()
            case Lie.DUPLICATE_CHUNK:
                chunks.insert(0, chunks[0])
            case _:
                chunks[-1] = self._spoilt(chunks[-1])
        return chunks

    def _spoilt(self, chunk: Chunk) -> Chunk:
        *rest, last = chunk.entries
        match self.lie:
            case Lie.FLIP_ENTRY:
                return replace(chunk, entries=(*rest, flip(last, len(last) - 1)))
            case Lie.FLIP_PROOF if chunk.proof:
                return replace(chunk, proof=(flip(chunk.proof[0], 0), *chunk.proof[1:]))
            case Lie.FLIP_ITEM:
                return replace(chunk, items=(*chunk.items[:-1], flip(chunk.items[-1], len(chunk.items[-1]) - 2)))
            case Lie.WITHHOLD_ITEM:
                items = bundle.cut(chunk.items[-1])
                return replace(chunk, items=(*chunk.items[:-1], bundle.join([*items[:-1], b""])))
            case Lie.TRUNCATE_BUNDLE:
                return replace(chunk, entries=(*rest, last[:-1]))
            case Lie.EXTRA_BUNDLE:
                return replace(chunk, entries=(*chunk.entries, last))
        entries = bundle.cut(last)
        match self.lie:
            case Lie.REORDER_ENTRIES:
                entries[0], entries[1] = entries[1], entries[0]
            case Lie.DROP_ENTRY:
                del entries[0]
            case Lie.DUPLICATE_ENTRY:
                entries.append(entries[-1])
        return replace(chunk, entries=(*rest, bundle.join(entries)))


def flip(data: bytes, at: int) -> bytes:
    """The same bytes with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class _Served(log_pb2_grpc.LogServicer):
    """A world over gRPC, lies and all."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def ListLogs(self, request, context):
        logs = await self._world.logs()
        return pb.ListLogsResponse(
            logs=[pb.LogInfo(origin=log.origin, kind=WIRE_KINDS[log.kind], size=log.size) for log in logs]
        )

    async def GetCheckpoint(self, request, context):
        return pb.GetCheckpointResponse(note=await self._world.checkpoint(request.origin))

    async def WatchCheckpoints(self, request, context):
        async for said in self._world.watch():
            if isinstance(said, Announcement):
                yield pb.WatchCheckpointsResponse(origin=said.origin, note=said.note, kind=WIRE_KINDS[said.kind])
            else:
                yield pb.WatchCheckpointsResponse(age_ms=int(said.age * 1000), unconfirmed=said.unconfirmed)

    async def GetConsistencyProof(self, request, context):
        proof = await self._world.consistency(request.origin, request.old_size, request.size)
        return pb.GetConsistencyProofResponse(proof=proof)

    async def GetInclusionProof(self, request, context):
        proof = prove.prove(prove.inclusion_spans(request.index, request.size), self._world.tiles)
        return pb.GetInclusionProofResponse(index=request.index, size=request.size, proof=proof)

    async def GetTiles(self, request, context):
        hashes = [self._world.tiles[tile.level, tile.index][: tile.width * HASH_BYTES] for tile in request.tiles]
        return pb.GetTilesResponse(hashes=hashes)

    async def GetEntries(self, request, context):
        async for c in self._world.entries(request.origin, request.start, request.end, request.size):
            yield pb.GetEntriesResponse(start=c.start, end=c.end, entries=c.entries, items=c.items, proof=c.proof)


@asynccontextmanager
async def serve(world: World) -> AsyncIterator[str]:
    """The world on a free port; its HOST:PORT."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    log_pb2_grpc.add_LogServicer_to_server(_Served(world), server)
    async with started(server) as address:
        yield address


@asynccontextmanager
async def started(server: grpc.aio.Server) -> AsyncIterator[str]:
    """A server on a free port for the time of the block; its HOST:PORT."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
