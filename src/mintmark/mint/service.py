"""The gRPC service `Mint` (proto/mintmark/v1/log.proto): checks the token, makes the request, hands it to `Logs`."""

from __future__ import annotations

import asyncio
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mintmark.errors import Malformed
from mintmark.mint.validation import AppendRequest, RecordDraft, check_count, check_id, make_request
from mintmark.register.datatypes import is_timestamp
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.status import unary
from mintmark.rpc.transport import LOG_KINDS
from mintmark.tlog.bundle import MAX_ENTRY_BYTES
from mintmark.tlog.origin import check_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from mintmark.auth.tokens import Token, Tokens
    from mintmark.mint.logs import Logs
    from mintmark.mint.pool import AppendResult

    Context = grpc.aio.ServicerContext[Any, Any]

MAX_INLINE_BYTES = 2**20  # of a request that is hashed without leaving the event loop
MAX_DRAFT_BYTES = 8 * MAX_ENTRY_BYTES  # of an item as sent: escapes may make it longer than its canonical form


class MintService(log_pb2_grpc.MintServicer):
    """Appends to the logs of one process."""

    def __init__(self, logs: Logs, tokens: Tokens) -> None:
        self._logs, self._tokens = logs, tokens

    @unary
    async def CreateLog(self, request: pb.CreateLogRequest, context: Context) -> pb.CreateLogResponse:  # noqa: N802
        """Makes an empty log; asking again for the same one changes nothing."""
        origin = request.origin
        check_origin(origin)
        self._tokens.authorize(context.invocation_metadata(), "create", origin)
        if request.kind not in LOG_KINDS:
            raise Malformed("a log is KIND_OPAQUE or KIND_REGISTER")
        if request.salted and request.kind != pb.KIND_REGISTER:
            raise Malformed("only the items of a register are salted")
        return pb.CreateLogResponse(note=await self._logs.create(origin, LOG_KINDS[request.kind], request.salted))

    @unary
    async def Append(self, request: pb.AppendRequest, context: Context) -> pb.AppendResponse:  # noqa: N802
        """Appends entries, all or none."""
        check_origin(request.origin)
        token = self._tokens.authorize(context.invocation_metadata(), "append", request.origin)
        if request.legacy:
            token.check("legacy", request.origin)
        sent = (request.request_id, request.entries, request.items, request.digest)
        make = partial(make_request, *sent, may_erase=token.may("erase", request.origin), legacy=request.legacy)
        is_short = len(request.entries) + len(request.items) <= MAX_INLINE_BYTES
        made = make() if is_short else await asyncio.to_thread(make)
        return await self._append(token, request.origin, made)

    @unary
    async def AppendItems(self, request: pb.AppendItemsRequest, context: Context) -> pb.AppendResponse:  # noqa: N802
        """Appends register entries, all or none, whose leaves are made here."""
        check_origin(request.origin)
        token = self._tokens.authorize(context.invocation_metadata(), "append", request.origin)
        check_id(request.request_id)
        check_count(len(request.items))
        drafts = tuple(_draft(index, item) for index, item in enumerate(request.items))
        size = sum(len(draft.key) + 2 * len(draft.item) for draft in drafts)
        may_erase = token.may("erase", request.origin)
        made = AppendRequest(request.request_id, _digest(request.items), drafts, len(drafts), size, may_erase)
        return await self._append(token, request.origin, made)

    async def _append(self, token: Token, origin: str, request: AppendRequest) -> pb.AppendResponse:
        log = await self._logs.find(origin)
        self._tokens.spend(token, origin, request.count)
        return _response(await self._logs.append(log, request))


def _draft(index: int, item: pb.Item) -> RecordDraft:
    """The draft of an item. Raises Malformed, naming the item."""
    if len(item.json) > MAX_DRAFT_BYTES:
        most = f"the most is {MAX_ENTRY_BYTES:,} in canonical form"
        raise Malformed(f"item {index} is {len(item.json)} bytes of JSON; {most}")
    timestamp = _timestamp(index, item) if item.HasField("timestamp") else None
    return RecordDraft(item.key, item.json, "system" if item.system else "user", timestamp)


def _timestamp(index: int, item: pb.Item) -> str:
    if item.timestamp.nanos:
        raise Malformed(f"item {index}: a timestamp is in whole seconds")
    try:
        timestamp = item.timestamp.ToJsonString()
    except ValueError as error:
        raise Malformed(f"item {index}: {error}") from None
    if not is_timestamp(timestamp):
        raise Malformed(f"item {index}: not a timestamp: {timestamp}")
    return timestamp


def _digest(items: Iterable[pb.Item]) -> bytes:
    """The digest by which a repeated request is compared."""
    digest = sha256()
    for item in items:
        digest.update(sha256(item.SerializeToString(deterministic=True)).digest())
    return digest.digest()


def _response(result: AppendResult) -> pb.AppendResponse:
    first, count, note, warnings = result
    return pb.AppendResponse(first=first, count=count, note=note, warnings=warnings)
