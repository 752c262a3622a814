"""A source over gRPC: the service `Log` of a mint or of another mirror, in our own values and errors.

It verifies nothing: what it returns is hostile until `tlog.trust.LogVerifier` has accepted it. A log of a kind that is
not known here is left out, as if the server did not have it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from mintmark.errors import Unavailable
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.status import from_rpc_error, is_answer, message
from mintmark.rpc.transport import CLIENT_OPTIONS, LOCAL_CLIENT_OPTIONS, LOG_KINDS, strict_channel
from mintmark.sources.http_client import is_local, name_proxy
from mintmark.sources.source import Announcement, Confirmation, ListedLog
from mintmark.tlog.trust import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from types import TracebackType
    from typing import Self


CALL_SECONDS = 30.0  # that a unary call may take
MAX_AGE_SECONDS = 366 * 86_400.0  # of a confirmation; whatever a server says, it is a time that a database can hold


class InclusionProof(NamedTuple):
    """An inclusion proof as a server gave it; `note` is the head's where `size` is that of the head."""

    index: int  # type: ignore[assignment]  # instead of tuple.index, which says nothing about a proof
    size: int
    proof: list[bytes]
    note: bytes


class GrpcSource:
    """One channel to one server: `async with GrpcSource("host:port") as source`."""

    def __init__(self, address: str) -> None:
        self.address = address
        options = LOCAL_CLIENT_OPTIONS if is_local(address) else CLIENT_OPTIONS
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._strict = strict_channel(self._channel)
        self._log = log_pb2_grpc.LogStub(self._strict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the channel and every call on it."""
        await self._channel.close(None)

    async def logs(self) -> list[ListedLog]:
        """The logs that the server names; a name proves nothing.

        A server that is older than confirmations confirms a head by naming it.
        """
        answer = await self._unary(self._log.ListLogs, pb.ListLogsRequest())
        said = _confirmation(answer)
        return [
            ListedLog(log.origin, LOG_KINDS[log.kind], log.size, None if log.origin in said.unconfirmed else said.age)
            for log in answer.logs
            if log.kind in LOG_KINDS
        ]

    async def watch(self, origins: Sequence[str] = ()) -> AsyncGenerator[Announcement | Confirmation, None]:
        """The present notes and then each new one, of these origins or of all; and confirmations of them."""
        call = self._log.WatchCheckpoints(pb.WatchCheckpointsRequest(origins=origins))
        with self._errors():
            try:
                async for answer in call:
                    m = message(answer)
                    if m.HasField("age_ms"):
                        yield _confirmation(m)
                    elif m.kind in LOG_KINDS:
                        yield Announcement(m.origin, m.note, LOG_KINDS[m.kind])
            finally:
                call.cancel()

    async def checkpoint(self, origin: str) -> bytes:
        """The present signed note."""
        note: bytes = (await self._unary(self._log.GetCheckpoint, pb.GetCheckpointRequest(origin=origin))).note
        return note

    async def consistency(self, origin: str, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old_size`."""
        request = pb.GetConsistencyProofRequest(origin=origin, old_size=old_size, size=size)
        return list((await self._unary(self._log.GetConsistencyProof, request)).proof)

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncGenerator[Chunk, None]:
        """Entries [start, end) with their proofs against `size`, chunk by chunk, from the bundle that holds `start`."""
        call = self._log.GetEntries(pb.GetEntriesRequest(origin=origin, start=start, end=end, size=size))
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

    async def inclusion(self, origin: str, *, index: int = 0, leaf_hash: bytes = b"", size: int = 0) -> InclusionProof:
        """The proof of one entry, by index or by leaf hash, in the tree of `size` (0: the present head)."""
        request = pb.GetInclusionProofRequest(origin=origin, size=size)
        if leaf_hash:
            request.leaf_hash = leaf_hash
        else:
            request.index = index
        answer = await self._unary(self._log.GetInclusionProof, request)
        return InclusionProof(answer.index, answer.size, list(answer.proof), answer.note)

    async def _unary(self, method: Any, request: Any, metadata: Sequence[tuple[str, str]] = ()) -> Any:
        with self._errors():
            return message(await method(request, timeout=CALL_SECONDS, metadata=metadata))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            mapped = from_rpc_error(error)
            if isinstance(mapped, Unavailable):
                mapped = Unavailable(f"{self.address} {_failure(self.address, error)}: {mapped}")
            raise mapped from error


def _failure(address: str, error: grpc.aio.AioRpcError) -> str:
    """What a server did that gave no answer: by whose fault, as far as its status tells."""
    if is_answer(error):
        return "answers"
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"cannot be reached{name_proxy(address)}"
    return "does not answer"


def _confirmation(said: pb.ListLogsResponse | pb.WatchCheckpointsResponse) -> Confirmation:
    return Confirmation(min(said.age_ms / 1000, MAX_AGE_SECONDS), frozenset(said.unconfirmed))
