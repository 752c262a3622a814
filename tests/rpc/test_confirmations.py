"""What a server says for its heads: what the last look found, and nothing where there was none; its health follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mintmark.errors import Unavailable
from mintmark.rpc.confirmations import Confirmations
from mintmark.rpc.server import add_standard_services
from tests.support.world import started

if TYPE_CHECKING:
    from collections.abc import Callable

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Heads(NamedTuple):
    age: float = 0.0
    unconfirmed: frozenset[str] = frozenset()
    silent: bool = False


class Database:
    """What a look finds, or how it fails."""

    finds: Heads | Exception = Heads()
    looks = 0

    async def look(self) -> Heads:
        self.looks += 1
        if isinstance(self.finds, Exception):
            raise self.finds
        return self.finds


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # what another task does
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("trouble", [Unavailable("the database is away"), KeyError("a defect"), Heads(silent=True)])
async def test_health_and_words_follow_the_looks(trouble: Heads | Exception) -> None:
    database, server = Database(), grpc.aio.server()
    confirmations = Confirmations(database.look)
    health = await add_standard_services(server, "Log", "Mint")
    async with started(server) as address, grpc.aio.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]

        async def states() -> set[int]:
            names = ("", "mintmark.v1.Log", "mintmark.v1.Mint")
            return {(await check(health_pb2.HealthCheckRequest(service=name))).status for name in names}

        assert await states() == {NOT_SERVING}, "nobody has looked yet"
        task = asyncio.create_task(confirmations.run(health))
        try:
            for found, state in ((Heads(), SERVING), (trouble, NOT_SERVING), (Heads(age=3.0), SERVING)):
                database.finds, seen = found, database.looks
                await until(lambda seen=seen: database.looks > seen + 1)
                assert await states() == {state}
                if isinstance(found, Heads):
                    assert confirmations.last is not None
                    assert confirmations.last.age >= found.age
                else:
                    assert confirmations.last is None
        finally:
            task.cancel()
