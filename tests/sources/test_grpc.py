"""A source over gRPC: our own values for all that is on the wire, and nothing for kinds of logs that are not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from mintmark.errors import ProofError, Unavailable
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.sources.grpc import GrpcSource
from mintmark.sources.source import Announcement, ListedLog, edge_at
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
