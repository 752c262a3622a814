"""A source over gRPC: our own values for all that is on the wire, and nothing for kinds of logs that are not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from mintmark.errors import ProofError, Unavailable
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.sources.grpc import MAX_AGE_SECONDS, GrpcSource
from mintmark.sources.source import Announcement, Confirmation, ListedLog, edge_at
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import leaf_hashes
from mintmark.tlog.merkle import check_inclusion
from tests.support.places import register
from tests.support.world import Lie, World, serve, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NEWER_KIND = 99  # of a log that servers of later versions may have


class Newer(log_pb2_grpc.LogServicer):
    """A server of later days: one log of a kind that is known, one of another."""

    async def ListLogs(self, request: object, context: object) -> pb.ListLogsResponse:
        logs = [pb.LogInfo(origin="a/newer", kind=NEWER_KIND), pb.LogInfo(origin="a/known", kind=pb.KIND_REGISTER)]
        return pb.ListLogsResponse(logs=logs)

    async def WatchCheckpoints(self, request: object, context: object) -> AsyncIterator[pb.WatchCheckpointsResponse]:
        yield pb.WatchCheckpointsResponse(origin="a/newer", note=b"note", kind=NEWER_KIND)
        yield pb.WatchCheckpointsResponse(origin="a/known", note=b"note", kind=pb.KIND_OPAQUE)


async def test_a_log_of_an_unknown_kind_is_left_out() -> None:
    server = grpc.aio.server()
    log_pb2_grpc.add_LogServicer_to_server(Newer(), server)
    async with started(server) as address, GrpcSource(address) as source:
        assert await source.logs() == [ListedLog("a/known", "register")]
        assert [each async for each in source.watch()] == [Announcement("a/known", b"note", "opaque")]


class Confirming(log_pb2_grpc.LogServicer):
    """A server that confirms what it shows, with an age of its choice."""

    age_ms = 1_500

    async def ListLogs(self, request: object, context: object) -> pb.ListLogsResponse:
        logs = [pb.LogInfo(origin=origin, kind=pb.KIND_OPAQUE, size=7) for origin in ("a/known", "a/lost")]
        return pb.ListLogsResponse(logs=logs, age_ms=self.age_ms, unconfirmed=["a/lost"])

    async def WatchCheckpoints(self, request: object, context: object) -> AsyncIterator[pb.WatchCheckpointsResponse]:
        yield pb.WatchCheckpointsResponse(age_ms=0)
        yield pb.WatchCheckpointsResponse(age_ms=self.age_ms, unconfirmed=["a/lost"])


@pytest.mark.parametrize(("age_ms", "age"), [(0, 0.0), (1_500, 1.5), (2**64 - 1, MAX_AGE_SECONDS)])
async def test_confirmations_come_with_their_age_and_exceptions(age_ms: int, age: float) -> None:
    """However old a server says that it is: it is a time that a database can hold."""
    server, servicer = grpc.aio.server(), Confirming()
    servicer.age_ms = age_ms
    log_pb2_grpc.add_LogServicer_to_server(servicer, server)
    async with started(server) as address, GrpcSource(address) as source:
        said = [each async for each in source.watch()]
        assert said == [Confirmation(0.0), Confirmation(age, frozenset({"a/lost"}))]
        assert [(log.origin, log.age) for log in await source.logs()] == [("a/known", age), ("a/lost", None)]


async def test_values_come_as_they_were_sent() -> None:
    world = register(count=700)
    async with serve(world) as address, GrpcSource(address) as source:
        assert await source.logs() == await world.logs()
        async for announced in source.watch([world.origin]):
            assert announced == Announcement(world.origin, world.notes[-1], "register")
            break
        assert await source.checkpoint(world.origin) == world.notes[-1]
        assert await source.consistency(world.origin, 300, 700) == await world.consistency(world.origin, 300, 700)
        asked, direct = source.entries(world.origin, 300, 700, 700), world.entries(world.origin, 300, 700, 700)
        assert [chunk async for chunk in asked] == [chunk async for chunk in direct]
        assert await source.tiles(world.origin, [(1, 0, 2), (0, 2, 188)]) == [world.tiles[1, 0], world.tiles[0, 2]]
        found = await source.inclusion(world.origin, index=5, size=700)
        (leaf,) = [leaf_hashes(len(e).to_bytes(2, "big") + e) for e in world.entries_[5:6]]
        check_inclusion(5, 700, leaf, found.proof, world.edge.root())


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 700])
async def test_the_edge_of_a_past_size_is_proven(size: int) -> None:
    world, before = register(count=700), World()
    if size:
        before.append(world.entries_[:size], world.items[:size])
    head = open_checkpoint(world.notes[-1], world.origin, world.verifiers)
    async with serve(world) as address, GrpcSource(address) as source:
        assert await edge_at(source, head, size) == (before.edge if size else Edge())
        world.lie = Lie.FLIP_CONSISTENCY
        if 0 < size < 700:
            with pytest.raises(ProofError):
                await edge_at(source, head, size)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with GrpcSource("127.0.0.1:1") as source:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
            await source.checkpoint("a/log")
