"""The parts of every gRPC server beside its own services: options, receiving, parsing, health, reflection, a port.

A server has one limit for the messages of all methods, and gRPC receives a message before it calls a handler: whoever
may not append could fill a mint with messages that are never finished. So a request of an anonymous method is asked for
in a handler of our own, as a stream of one message: until then gRPC takes no more of it than a window. Few that are not
whole at once are received at a time, and none for long.

Reflection is served as grpc.reflection.v1, which tools ask for now, and as v1alpha, the only one that the library
knows. Their messages are the same bytes.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mintmark.errors import Busy, Misconfigured
from mintmark.rpc.calls import remember_calls
from mintmark.rpc.mintmark_pb import log_pb2
from mintmark.rpc.status import refuse
from mintmark.rpc.transport import COMMON_OPTIONS, MAX_APPEND_BYTES, MAX_REQUEST_BYTES, strictly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

WHOLE_SECONDS = 0.05  # in which a request is received that was sent with its headers
RECEIVE_SECONDS = 5.0  # in which any other is
MAX_UNFINISHED_REQUESTS = 8  # of the latter, at a time

_OPTIONS = (
    *COMMON_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", 256),  # each may have a window of a request that nobody asked for
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),  # without calls
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server on it
)
SERVER_OPTIONS = (*_OPTIONS, ("grpc.max_receive_message_length", MAX_REQUEST_BYTES))
MINT_OPTIONS = (*_OPTIONS, ("grpc.max_receive_message_length", MAX_APPEND_BYTES))


def strict_server(server: grpc.aio.Server) -> Any:
    """A server for the generated code to add services to; it parses requests strictly."""
    return _StrictServer(server)


def anonymous_server(server: grpc.aio.Server) -> Any:
    """A server for the libraries' code to add services to that anybody may call."""
    return _AnonymousServer(server)


class _StrictServer:
    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Left out: the same methods come as registered ones."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Adds methods. Those of `Mint` have been asked for a token before any of their message is received."""
        strict = {
            name: handler._replace(request_deserializer=strictly(handler.request_deserializer))
            for name, handler in handlers.items()
        }
        if service == log_pb2.DESCRIPTOR.services_by_name["Mint"].full_name:
            self._server.add_registered_method_handlers(service, strict)
        else:
            _AnonymousServer(self._server).add_registered_method_handlers(service, strict)


class _AnonymousServer:
    """A server for services that anybody may call; it receives their requests itself."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self._unfinished: dict[asyncio.Timeout, None] = {}  # the oldest first
        remember_calls()

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Left out: the same methods come as registered ones."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Adds methods."""
        ours = {name: self._handler(handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, ours)

    def _handler(self, handler: Any) -> Any:
        """A handler that does the same with requests that it receives itself."""
        parse, serialize = handler.request_deserializer, handler.response_serializer
        codecs = {"request_deserializer": parse, "response_serializer": serialize}
        if handler.request_streaming:

            async def both(_: object, context: Any) -> None:
                async for answer in handler.stream_stream(self._requests(context), context):
                    await context.write(answer)

            return grpc.stream_stream_rpc_method_handler(both, **codecs)

        if asyncio.iscoroutinefunction(handler.unary_stream):  # it writes its answers itself

            async def writing(_: object, context: Any) -> None:
                await handler.unary_stream(await self._receive(context), context)

            return grpc.stream_stream_rpc_method_handler(writing, **codecs)

        if handler.response_streaming:

            async def stream(_: object, context: Any) -> None:
                request = await self._receive(context)
                async with aclosing(handler.unary_stream(request, context)) as answers:
                    async for answer in answers:
                        data = serialize(answer)
                        del answer  # a client may take long to receive it: only its bytes are held
                        await context.write(data)

            return grpc.stream_stream_rpc_method_handler(stream, request_deserializer=parse)

        async def unary(_: object, context: Any) -> Any:
            return await handler.unary_unary(await self._receive(context), context)

        return grpc.stream_unary_rpc_method_handler(unary, **codecs)

    async def _requests(self, context: Any) -> AsyncIterator[Any]:
        while (request := await self._receive(context)) is not None:
            yield request

    async def _receive(self, context: Any) -> Any:
        """The request; None for bytes that are none. Ends the call where it does not come in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RECEIVE_SECONDS) as limit:
                timer = loop.call_later(WHOLE_SECONDS, self._add_unfinished, limit)
                try:
                    received = await context.read()
                finally:
                    timer.cancel()
                    self._unfinished.pop(limit, None)
        except TimeoutError:
            await refuse(context, Busy("the request did not arrive in time; send it again"))
        return None if received is grpc.aio.EOF else received

    def _add_unfinished(self, limit: asyncio.Timeout) -> None:
        self._unfinished[limit] = None
        if len(self._unfinished) > MAX_UNFINISHED_REQUESTS:
            oldest = next(iter(self._unfinished))
            del self._unfinished[oldest]
            if not oldest.expired():
                oldest.reschedule(0)


class ServiceHealth:
    """The standard health service, for the whole server and each service of ours. Nothing is served at first."""

    def __init__(self, servicer: health.aio.HealthServicer, names: Sequence[str]) -> None:
        self._servicer, self._names = servicer, names
        self._serving: bool | None = None

    async def report(self, *, serving: bool) -> None:
        """Says whether requests are served; who watches hears of each change."""
        if serving is not self._serving:
            self._serving = serving
            states = health_pb2.HealthCheckResponse
            for name in self._names:
                await self._servicer.set(name, states.SERVING if serving else states.NOT_SERVING)


async def add_standard_services(server: grpc.aio.Server, *names: str) -> ServiceHealth:
    """Adds health and reflection for the services of ours with these names."""
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, anonymous_server(server))
    ours = [log_pb2.DESCRIPTOR.services_by_name[name].full_name for name in names]
    _add_reflection(server, (*ours, health.SERVICE_NAME))
    reported = ServiceHealth(servicer, ("", *ours))
    await reported.report(serving=False)
    return reported


def _add_reflection(server: grpc.aio.Server, names: tuple[str, ...]) -> None:
    """Adds reflection in both versions."""
    names = (*names, reflection.SERVICE_NAME, _reflection_v1())
    ask = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (reflection.SERVICE_NAME, _reflection_v1()):
        anonymous_server(server).add_registered_method_handlers(name, {"ServerReflectionInfo": ask})


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
