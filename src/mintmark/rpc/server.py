"""The parts of every gRPC server beside its own services: options, strict parsing, health, reflection, a port.

Reflection is served as grpc.reflection.v1, which tools ask for now, and as v1alpha, the only one that the library
knows. Their messages are the same bytes.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mintmark.errors import Misconfigured
from mintmark.rpc.mintmark_pb import log_pb2
from mintmark.rpc.transport import COMMON_OPTIONS, MAX_APPEND_BYTES, MAX_REQUEST_BYTES, strictly

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = (
    *COMMON_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server on it
)
SERVER_OPTIONS = (*_OPTIONS, ("grpc.max_receive_message_length", MAX_REQUEST_BYTES))
MINT_OPTIONS = (*_OPTIONS, ("grpc.max_receive_message_length", MAX_APPEND_BYTES))


def strict_server(server: grpc.aio.Server) -> Any:
    """A server for the generated code to add services to; it parses requests strictly."""
    return _StrictServer(server)


class _StrictServer:
    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Left out: the same methods come as registered ones."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        strict = {
            name: handler._replace(request_deserializer=strictly(handler.request_deserializer))
            for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, strict)


async def add_standard_services(server: grpc.aio.Server, *names: str) -> None:
    """Adds health and reflection for the services of ours with these names."""
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    ours = [log_pb2.DESCRIPTOR.services_by_name[name].full_name for name in names]
    _add_reflection(server, (*ours, health.SERVICE_NAME))
    for name in ("", *ours):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)


def _add_reflection(server: grpc.aio.Server, names: tuple[str, ...]) -> None:
    """Adds reflection in both versions."""
    names = (*names, reflection.SERVICE_NAME, _reflection_v1())
    reflection.enable_server_reflection(names, server)
    ask = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_registered_method_handlers(_reflection_v1(), {"ServerReflectionInfo": ask})
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_reflection_v1(), {"ServerReflectionInfo": ask}),)
    )


@cache
def _reflection_v1() -> str:
    """The name of the service in version 1, once its description is known, so that it can be asked for, too."""
    old = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(old)
    text = text_format.MessageToString(old).replace("v1alpha", "v1")
    new = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(new.SerializeToString())
    return f"{new.package}.{new.service[0].name}"


def bind(server: grpc.aio.Server, listen: str, setting: str) -> str:
    """Binds a server to HOST:PORT; the address that it got, where the port was 0.

    Raises:
        Misconfigured: the port is taken or cannot be bound. Names the setting.
    """
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise Misconfigured(f"{listen} is taken or cannot be bound; choose another with {setting}") from error
    return f"{listen.rpartition(':')[0]}:{port}"
