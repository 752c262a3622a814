"""The statuses of gRPC, and what stands in their messages; the services beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2 as reflection
from psycopg.conninfo import conninfo_to_dict

from mintmark.errors import Malformed, MintmarkError, NotFound, Unauthenticated, Unavailable
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from tests.support.mint_site import LIGHTHOUSE, THINGS, put

if TYPE_CHECKING:
    from mintmark.client.mint_client import MintClient
    from tests.support.mint_site import Site
    from tests.support.postgres import TestPostgres

Code = grpc.StatusCode


async def code_of(call: object) -> tuple[grpc.StatusCode, str]:
    """The status of a call of the client."""
    with pytest.raises(MintmarkError) as caught:
        await call  # type: ignore[misc]
    cause = caught.value.__cause__
    assert isinstance(cause, grpc.aio.AioRpcError)
    return cause.code(), cause.details() or ""


@pytest.mark.parametrize("token", ["", "another", "all rights "])
async def test_a_token_that_is_missing_or_not_known(site: Site, token: str) -> None:
    async with site.running(token) as client:
        with pytest.raises(Unauthenticated):
            await client.create(THINGS, "opaque")
        assert (await code_of(client.create(THINGS, "opaque")))[0] is Code.UNAUTHENTICATED
        assert (await code_of(put(client, [b"one"])))[0] is Code.UNAUTHENTICATED


async def test_a_token_that_lacks_the_right(site: Site) -> None:
    async with site.running("append only") as client:
        assert (await code_of(client.create(THINGS, "opaque")))[0] is Code.PERMISSION_DENIED


@pytest.mark.parametrize("length", [1, 3, 31, 33, 64])
async def test_a_leaf_hash_of_another_length(mint: MintClient, length: int) -> None:
    await put(mint, [b"one"])
    with pytest.raises(Malformed, match=f"a leaf hash of {length} bytes; send 32"):
        await mint.inclusion(THINGS, leaf_hash=bytes(length))
    with pytest.raises(Malformed, match="a leaf hash of 0 bytes; send 32"):
        await mint._unary(mint._log.GetInclusionProof, pb.GetInclusionProofRequest(origin=THINGS, leaf_hash=b""))


async def test_no_leaf_at_all(mint: MintClient) -> None:
    await put(mint, [b"one"])
    with pytest.raises(Malformed, match="say which entry: send its index, or its leaf hash"):
        await mint._unary(mint._log.GetInclusionProof, pb.GetInclusionProofRequest(origin=THINGS))
    assert (await mint.inclusion(THINGS, index=0)).index == 0


async def test_no_message_says_where_the_server_s_files_are(site: Site) -> None:
    """Nor how it reaches its database: who asks is a stranger."""
    places = [str(site.keys), str(site.tokens), str(site.keys.parent)]
    said: list[str] = []
    async with site.running() as client:
        await client.create(THINGS, "opaque")
        said.append((await code_of(client.create("mint.example/new", "opaque")))[1])
        (site.keys / "broken.key").write_text("no key\n")
        said.append((await code_of(client.create("mint.example/broken", "opaque")))[1])
        (site.keys / "directory.key").mkdir()
        said.append((await code_of(client.create("mint.example/directory", "opaque")))[1])
        (site.keys / "lighthouse.mark").mkdir()
        said.append((await code_of(client.create(LIGHTHOUSE, "register")))[1])
    assert not [(text, place) for text in said for place in places if place in text]
    assert "no key of mint.example/new is here" in said[0]
    assert "broken.key is not a secret key" in said[1]
    assert said[3] == "the server is not set up for this; its operator finds the reason in its log"


async def test_a_database_that_is_away_is_not_described(site: Site, postgres: TestPostgres) -> None:
    """And the server that says so is not called unreachable."""
    name = conninfo_to_dict(site.database)["dbname"]
    async with site.running() as client:
        await client.create(THINGS, "opaque")
        postgres.execute(f"alter database {name} allow_connections false")
        try:
            postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
            with pytest.raises(Unavailable, match=rf"^{client.address} answers: the database cannot be reached$"):
                await client.checkpoint(THINGS)
        finally:
            postgres.execute(f"alter database {name} allow_connections true")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(mint: MintClient, version: str) -> None:
    ask = mint._channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection.ServerReflectionResponse.FromString,
    )
    services = f"grpc.reflection.{version}.ServerReflection"
    asked = [
        reflection.ServerReflectionRequest(list_services=""),
        reflection.ServerReflectionRequest(file_containing_symbol="mintmark.v1.Mint"),
        reflection.ServerReflectionRequest(file_containing_symbol=services),
    ]
    listed, ours, own = [answer async for answer in ask(iter(asked))]
    names = {service.name for service in listed.list_services_response.service}
    both = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    assert names == {"mintmark.v1.Log", "mintmark.v1.Mint", "grpc.health.v1.Health", *both}
    for answer, package in ((ours, "mintmark.v1"), (own, f"grpc.reflection.{version}")):
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(data)
            for data in answer.file_descriptor_response.file_descriptor_proto
        ]
        assert package in {file.package for file in files}


async def test_what_is_not_here_is_not_found(mint: MintClient) -> None:
    with pytest.raises(NotFound):
        await mint.checkpoint("mint.example/nothing")
