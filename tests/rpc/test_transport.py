"""Messages that are no messages, or whose few bytes would become much memory: refused before they are parsed."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from mintmark.client.mint_client import MintClient
from mintmark.errors import Malformed, Rejected
from mintmark.rpc import transport
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.transport import has_few_fields
from tests.support.lights import append_items, define
from tests.support.mint_site import THINGS
from tests.support.world import started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.mint_site import Site

Code = grpc.StatusCode
MANY = transport.MAX_MESSAGE_FIELDS + 1
ANSWERS: dict[str, bytes] = {
    "garbage": b"\xff\xff",
    "many bundles": b"\x1a\0" * MANY,
    "many proofs": b"\x2a\0" * MANY,
    "many logs": b"\x0a\0" * MANY,
}


async def ask(client: MintClient, method: str, request: bytes, token: str = "") -> tuple[grpc.StatusCode, str]:
    """The status of a call with these bytes."""
    call = client._channel.unary_unary(f"/mintmark.v1.{method}")
    try:
        await call(request, metadata=(("authorization", f"Bearer {token}"),) if token else ())
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return Code.OK, ""


@pytest.mark.parametrize("method", ["Mint/AppendItems", "Mint/Append", "Log/GetTiles", "Log/WatchCheckpoints"])
@pytest.mark.parametrize("request_", [b"\xff\xff", b"\x0a\x02\xff\xfe", b"\x1a\0" * MANY, b"\x12\0" * MANY])
async def test_a_request_that_is_no_message_is_malformed(mint: MintClient, method: str, request_: bytes) -> None:
    code, said = await ask(mint, method, request_, "all rights")
    assert (code, "is no message" in said) == (Code.INVALID_ARGUMENT, True), said


async def test_without_a_token_nothing_of_an_append_is_read(site: Site) -> None:
    async with site.running() as client:
        sent = bytes(transport.MAX_APPEND_BYTES + 1)  # what is read is found to be too large
        assert (await ask(client, "Mint/Append", sent, "all rights"))[0] is Code.RESOURCE_EXHAUSTED
        for token in ("", "another"):
            code, said = await ask(client, "Mint/Append", sent, token)
            assert (code, "token" in said) == (Code.UNAUTHENTICATED, True), said


async def test_a_client_does_not_send_what_no_mint_takes(mint: MintClient) -> None:
    with pytest.raises(Malformed, match="send at most"):
        await mint.append(THINGS, bytes(16), bytes(transport.MAX_APPEND_BYTES))
    with pytest.raises(Malformed, match="send at most"):
        await mint.append_items(THINGS, bytes(16), [pb.Item(json=bytes(transport.MAX_APPEND_BYTES))])


@asynccontextmanager
async def lying(answer: bytes) -> AsyncIterator[MintClient]:
    """A client of a server that answers everything with these bytes."""

    class Liar(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            if details.method.endswith("GetEntries"):
                return grpc.unary_stream_rpc_method_handler(_stream)
            return grpc.unary_unary_rpc_method_handler(_unary)

    async def _unary(request: bytes, context: object) -> bytes:
        return answer

    async def _stream(request: bytes, context: object) -> AsyncIterator[bytes]:
        yield answer

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Liar(),))
    async with started(server) as address, MintClient(address) as client:
        yield client


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_answer_that_is_no_message_is_malformed(answer: str) -> None:
    async with lying(ANSWERS[answer]) as client:
        with pytest.raises(Malformed, match="no message"):
            await client.logs() if answer == "many logs" else await anext(client.entries("o", 0, 1, 1))


async def test_a_name_that_postgres_cannot_hold_is_no_log_here(mint: MintClient) -> None:
    code, said = await ask(mint, "Log/GetCheckpoint", pb.GetCheckpointRequest(origin="a\0b").SerializeToString())
    assert (code, said) == (Code.NOT_FOUND, "no log 'a\\x00b' here; ListLogs names those that are")


async def test_what_a_refusal_says_is_short_whatever_was_sent(mint: MintClient) -> None:
    sent = pb.GetCheckpointRequest(origin="x" * 100_000).SerializeToString()
    code, said = await ask(mint, "Log/GetCheckpoint", sent)
    assert (code, len(said) <= 1000) == (Code.NOT_FOUND, True)


async def test_a_refusal_of_a_long_name_still_says_which_rule(mint: MintClient) -> None:
    await define(mint)
    item = b'{"lighthouse":"FAR","%b":"x"}' % (b"n" * 60_000)
    with pytest.raises(Rejected) as refused:
        await append_items(mint, [pb.Item(key="FAR", json=item)])
    assert (refused.value.rule, refused.value.field) == ("field", "n" * 200)


@given(st.binary(max_size=60), st.integers(0, 12))
def test_whatever_parses_has_few_fields_if_it_is_said_to(data: bytes, most: int) -> None:
    """Beside the parser of protobuf: a list of n elements is n fields."""
    try:
        parsed = pb.WatchCheckpointsRequest.FromString(data)
    except DecodeError:
        return
    if has_few_fields(data, most):
        assert len(parsed.origins) <= most


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_as_many_fields_as_there_are_elements(items: list[bytes]) -> None:
    data = pb.GetTilesResponse(hashes=items).SerializeToString()
    assert has_few_fields(data, len(items))
    assert not items or not has_few_fields(data, len(items) - 1)


def test_every_kind_of_field_is_counted() -> None:
    data = pb.GetEntriesRequest(origin="o", start=2**40, end=300, size=-1).SerializeToString()
    fixed = struct.pack("<BQBI", 0x29, 7, 0x35, 7)  # of numbers that the message does not know
    for count, sent in ((4, data), (2, fixed), (6, data + fixed)):
        assert has_few_fields(sent, count)
        assert not has_few_fields(sent, count - 1)
    assert not has_few_fields(b"\x0b\x0c" * 9, 8)  # groups: no message here has one
