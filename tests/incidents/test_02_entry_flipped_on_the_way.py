"""Incident 2: entry data flipped before it was hashed (Nessie, 2024).

A request carries a digest of its entries and items: what does not have it is refused, nothing is stored, and the client
is told to send it again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.tlog import bundle
from mintmark.tlog.bundle import digest
from tests.support.minting import ORIGIN, TOKEN, Keys
from tests.support.places import register
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA = (("authorization", f"Bearer {TOKEN}"),)


async def send(address: str, request: pb.AppendRequest) -> pb.AppendResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        return await log_pb2_grpc.MintStub(channel).Append(request, metadata=METADATA)


@pytest.mark.parametrize("part", ["entries", "digest", "a length"])
async def test_a_request_that_changed_on_the_way_is_refused_and_stores_nothing(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], part: str
) -> None:
    keys = Keys(tmp_path)
    entries = bundle.join([os.urandom(30) for _ in range(100)])
    good = pb.AppendRequest(origin=ORIGIN, request_id=os.urandom(16), entries=entries, digest=digest(entries, b""))
    bad = pb.AppendRequest()
    bad.CopyFrom(good)
    match part:
        case "entries":
            bad.entries = flip(entries, 1000)
        case "digest":
            bad.digest = flip(good.digest, 31)
        case "a length":
            bad.entries = flip(entries, 1)
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(client.address, bad)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "send them again" in (caught.value.details() or "")
        assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 0
        # The same request id is not spent by it.
        assert (await send(client.address, good)).first == 0
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 100


async def test_an_item_that_changed_on_the_way_is_refused(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any]
) -> None:
    keys, world = Keys(tmp_path), register(count=10)
    entries, items = bundle.join(world.entries_), bundle.join(world.items)
    spoilt = pb.AppendRequest(
        origin=ORIGIN,
        request_id=os.urandom(16),
        entries=entries,
        items=flip(items, len(items) - 3),
        digest=digest(entries, items),
    )
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "register")
        with pytest.raises(grpc.aio.AioRpcError, match="send them again"):
            await send(client.address, spoilt)
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == 0
