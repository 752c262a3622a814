"""A client of `Log` and `Mint` that speaks in our own values and errors.

It verifies nothing: what it returns is hostile until `tlog.trust.LogVerifier` has accepted it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from mintmark.errors import Malformed
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.status import from_rpc_error, message
from mintmark.rpc.transport import CLIENT_OPTIONS, MAX_APPEND_BYTES, strict_channel
from mintmark.tlog import bundle
from mintmark.tlog.trust import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
    from types import TracebackType
    from typing import Self

ItemMessage = pb.Item  # as `append_items` sends it

UNARY_TIMEOUT_SECONDS = 30.0


class Inclusion(NamedTuple):
    """An inclusion proof as a server gave it."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a proof
    size: int
    proof: list[bytes]
    note: bytes


class Watched(NamedTuple):
    """A checkpoint as a stream brought it."""

    origin: str
    note: bytes
    kind: int


class AppendAnswer(NamedTuple):
    """The place of a batch, a checkpoint that covers it, and what the legacy mode admitted."""

    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count
    note: bytes
    warnings: list[str]


class RpcClient:
    """One channel to one server: `async with Client("host:port") as client`."""

    def __init__(self, address: str, *, token: str = "") -> None:
        self.address = address
        self._channel = grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS)
        strict = strict_channel(self._channel)
        self._log = log_pb2_grpc.LogStub(strict)
        self._mint = log_pb2_grpc.MintStub(strict)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the channel and every call on it."""
        await self._channel.close(None)

    async def logs(self) -> list[pb.LogInfo]:
        """The logs that the server names; a name proves nothing."""
        return list((await self._unary(self._log.ListLogs, pb.ListLogsRequest())).logs)

    async def checkpoint(self, origin: str) -> bytes:
        """The present signed note."""
        note: bytes = (await self._unary(self._log.GetCheckpoint, pb.GetCheckpointRequest(origin=origin))).note
        return note

    async def watch(self, origins: Sequence[str] = ()) -> AsyncIterator[Watched]:
        """The present notes and then each new one, of these origins or of all."""
        call = self._log.WatchCheckpoints(pb.WatchCheckpointsRequest(origins=origins))
        with self._errors():
            try:
                async for answer in call:
                    m = message(answer)
                    yield Watched(m.origin, m.note, m.kind)
            finally:
                call.cancel()

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncGenerator[Chunk, None]:
        """Entries [start, end) with their proofs against `size`, chunk by chunk, from the bundle that holds `start`."""
        request = pb.GetEntriesRequest(origin=origin, start=start, end=end, size=size)
        call = self._log.GetEntries(request)
        with self._errors():
            try:
                async for answer in call:
                    m = message(answer)
                    yield Chunk(m.start, m.end, tuple(m.entries), tuple(m.items), tuple(m.proof))
            finally:
                call.cancel()

    async def tiles(self, origin: str, tiles: Sequence[tuple[int, int, int]]) -> list[bytes]:
        """Tiles by (level, index, width), in the order of the question."""
        refs = [pb.TileRef(level=level, index=index, width=width) for level, index, width in tiles]
        return list((await self._unary(self._log.GetTiles, pb.GetTilesRequest(origin=origin, tiles=refs))).hashes)

    async def inclusion(self, origin: str, *, index: int = 0, leaf_hash: bytes = b"", size: int = 0) -> Inclusion:
        """The proof of one entry, by index or by leaf hash, in the tree of `size` (0: the present head)."""
        request = pb.GetInclusionProofRequest(origin=origin, size=size)
        if leaf_hash:
            request.leaf_hash = leaf_hash
        else:
            request.index = index
        answer = await self._unary(self._log.GetInclusionProof, request)
        return Inclusion(answer.index, answer.size, list(answer.proof), answer.note)

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""
        request = pb.GetConsistencyProofRequest(origin=origin, old_size=old_size, size=size)
        return list((await self._unary(self._log.GetConsistencyProof, request)).proof)

    async def create(self, origin: str, kind: str, *, salted: bool = False) -> bytes:
        """Makes an empty log; its first signed note. Asking again for the same changes nothing."""
        request = pb.CreateLogRequest(origin=origin, kind=pb.Kind.Value(f"KIND_{kind.upper()}"), salted=salted)
        note: bytes = (await self._unary(self._mint.CreateLog, request)).note
        return note

    async def append(
        self, origin: str, request_id: bytes, entries: bytes, items: bytes = b"", *, legacy: bool = False
    ) -> AppendAnswer:
        """Appends bundle-encoded entries, all or none. Safe to repeat with the same 16-byte request id."""
        request = pb.AppendRequest(
            origin=origin,
            request_id=request_id,
            entries=entries,
            items=items,
            digest=bundle.digest(entries, items),
            legacy=legacy,
        )
        return await self._append(self._mint.Append, request)

    async def append_items(self, origin: str, request_id: bytes, items: Sequence[pb.Item]) -> AppendAnswer:
        """Appends register entries whose leaves the mint makes."""
        request = pb.AppendItemsRequest(origin=origin, request_id=request_id, items=items)
        return await self._append(self._mint.AppendItems, request)

    async def _append(self, method: Any, request: Any) -> AppendAnswer:
        if (size := request.ByteSize()) > MAX_APPEND_BYTES:
            raise Malformed(f"a batch of {size:,} bytes; send at most {MAX_APPEND_BYTES:,} at once")
        answer = await self._unary(method, request)
        return AppendAnswer(answer.first, answer.count, answer.note, list(answer.warnings))

    async def _unary(self, method: Any, request: Any) -> Any:
        with self._errors():
            return message(await method(request, timeout=UNARY_TIMEOUT_SECONDS, metadata=self._metadata))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            mapped = from_rpc_error(error)
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                mapped.args = (f"{self.address} cannot be reached: {mapped}",)
            raise mapped from error


def item_message(key: str, item: bytes, timestamp: str | None = None, *, system: bool = False) -> ItemMessage:
    """A register entry whose leaf the mint makes: `item` is any spelling of JSON, empty for a tombstone.

    `timestamp` is YYYY-MM-DDTHH:MM:SSZ, or None for the mint's clock; `system` is for definitions and erasures.
    """
    made = ItemMessage(key=key, json=item, system=system)
    if timestamp is not None:
        made.timestamp.FromJsonString(timestamp)
    return made
