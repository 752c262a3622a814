"""Messages are counted before they are parsed: a few bytes on the wire can stand for a hundred in memory.

40 MB of empty fields would become 1.6 GB of objects, in a server before it knows who sent them, in a mirror whoever it
listens to. So a message has at most `limits.FIELDS` fields. (Those within a field do not multiply: no message here
repeats anything there.) One that has more, or does not parse, is None; `status` and `client` name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import DecodeError

from mintmark.rpc import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import grpc

M = TypeVar("M")

VARINT, EIGHT, COUNTED, FOUR = 0, 1, 2, 5  # wire types; groups, 3 and 4, are in no message here


def strict_server(server: grpc.aio.Server) -> Any:
    """A server for the generated code to add services to."""
    return _StrictServer(server)


def strict_channel(channel: grpc.aio.Channel) -> Any:
    """A channel for the generated code to make stubs on."""
    return _Channel(channel)


class _StrictServer:
    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Left out: the same methods come as registered ones."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        strict = {
            name: handler._replace(request_deserializer=_strictly(handler.request_deserializer))
            for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, strict)


class _Channel:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, response_deserializer: Any, **others: Any) -> Any:
        return self._channel.unary_unary(method, response_deserializer=_strictly(response_deserializer), **others)

    def unary_stream(self, method: str, response_deserializer: Any, **others: Any) -> Any:
        return self._channel.unary_stream(method, response_deserializer=_strictly(response_deserializer), **others)


def _strictly(parse: Callable[[bytes], M]) -> Callable[[bytes], M | None]:
    def strict(data: bytes) -> M | None:
        if not few_fields(data, limits.FIELDS):
            return None
        try:
            return parse(data)
        except DecodeError:
            return None

    return strict


def few_fields(data: bytes, most: int) -> bool:
    """Whether a message has at most so many fields; of bytes that do not parse, no matter."""
    at, end = 0, len(data)
    if end <= 2 * most:  # no field is shorter
        return True
    for _ in range(most):
        tag, at = _varint(data, at)
        if tag & 7 == COUNTED:
            length, at = _varint(data, at)
            at += length
        elif tag & 7 == VARINT:
            _, at = _varint(data, at)
        elif tag & 7 in (EIGHT, FOUR):
            at += 8 if tag & 7 == EIGHT else 4
        else:
            return False
        if at >= end:
            return True
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends. Past the end of the data there are zeros."""
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return value, at + 1
