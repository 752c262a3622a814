"""The service `Mint` over gRPC, in our own values and errors: making logs, and appending to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mintmark.errors import Malformed
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.transport import MAX_APPEND_BYTES
from mintmark.sources.grpc import GrpcSource
from mintmark.tlog import bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

ItemMessage = pb.Item  # as `append_items` sends it


class AppendAnswer(NamedTuple):
    """The place of a batch, a checkpoint that covers it, and what the legacy mode admitted."""

    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count
    note: bytes
    warnings: list[str]


class MintClient(GrpcSource):
    """One channel to a mint: a source of its logs that also makes them and appends to them."""

    def __init__(self, address: str, *, token: str = "") -> None:
        super().__init__(address)
        self._mint = log_pb2_grpc.MintStub(self._strict)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def create(self, origin: str, kind: str, *, salted: bool = False) -> bytes:
        """Makes an empty log; its first signed note. Asking again for the same changes nothing."""
        request = pb.CreateLogRequest(origin=origin, kind=pb.Kind.Value(f"KIND_{kind.upper()}"), salted=salted)
        note: bytes = (await self._unary(self._mint.CreateLog, request, self._metadata)).note
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
        answer = await self._unary(method, request, self._metadata)
        return AppendAnswer(answer.first, answer.count, answer.note, list(answer.warnings))


def item_message(key: str, item: bytes, timestamp: str | None = None, *, system: bool = False) -> ItemMessage:
    """A register entry whose leaf the mint makes: `item` is any spelling of JSON, empty for a tombstone.

    `timestamp` is YYYY-MM-DDTHH:MM:SSZ, or None for the mint's clock; `system` is for definitions and erasures.

    Raises Malformed for a key that is no Unicode: bytes of a command line, say, that are not UTF-8.
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        raise Malformed(f"the key {key!r} is not UTF-8") from None
    made = ItemMessage(key=key, json=item, system=system)
    if timestamp is not None:
        made.timestamp.FromJsonString(timestamp)
    return made
