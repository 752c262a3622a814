"""How messages travel: their sizes, the options of channels, and strict parsing.

A message is counted before it is parsed, because a few bytes on the wire can stand for a hundred in memory: 40 MB of
empty fields would become 1.6 GB of objects, in a server before it knows the sender, in a mirror whatever its source. So
a message has at most `MAX_MESSAGE_FIELDS` fields. (Those within a field do not multiply: no message here repeats
anything there.) A message that has more, or does not parse, becomes None; `status.message` names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import DecodeError

from mintmark.rpc.mintmark_pb import log_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from mintmark.formats import LogKind

M = TypeVar("M")

WIRE_KINDS: dict[LogKind, Any] = {"opaque": log_pb2.KIND_OPAQUE, "register": log_pb2.KIND_REGISTER}
LOG_KINDS: dict[int, LogKind] = {number: kind for kind, number in WIRE_KINDS.items()}

MAX_ANSWER_BYTES = 40 * 2**20  # a bundle of maximal entries and one of maximal items are 16 MiB each
MAX_APPEND_BYTES = 16 * 2**20  # of an append request
MAX_REQUEST_BYTES = 2**20  # of any other request
MAX_MESSAGE_FIELDS = 65_536  # the largest request has a batch's 32,768 items
MAX_TILES_PER_REQUEST = 1024
READ_AHEAD_BYTES = 4 * 2**20  # of bundles in one query
MAX_READ_AHEAD_BYTES = 8 * 2**20  # of all streams of a server: many slow readers get little each
MAX_ANSWERED_BYTES = 192 * 2**20  # that a server holds for all of them
UNKNOWN_READ_BYTES = 24 * 2**20  # that are held for a read of a log of which nothing was read so far
SLOW_SECONDS = 3.0  # without progress, after which a client who holds bytes is ended where others wait for them

COMMON_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)
CLIENT_OPTIONS = (
    *COMMON_OPTIONS,
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)
LOCAL_CLIENT_OPTIONS = (*CLIENT_OPTIONS, ("grpc.enable_http_proxy", 0))  # to this machine, whatever the environment

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types; groups, 3 and 4, are in no message here


def strict_channel(channel: grpc.aio.Channel) -> Any:
    """A channel for the generated code to make stubs on; it parses answers strictly."""
    return _StrictChannel(channel)


class _StrictChannel:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, response_deserializer: Any, **others: Any) -> Any:
        return self._channel.unary_unary(method, response_deserializer=strictly(response_deserializer), **others)

    def unary_stream(self, method: str, response_deserializer: Any, **others: Any) -> Any:
        return self._channel.unary_stream(method, response_deserializer=strictly(response_deserializer), **others)


def strictly(parse: Callable[[bytes], M]) -> Callable[[bytes], M | None]:
    """A parser that gives None for a message of too many fields, and for bytes that do not parse."""

    def strict(data: bytes) -> M | None:
        if not has_few_fields(data, MAX_MESSAGE_FIELDS):
            return None
        try:
            return parse(data)
        except DecodeError:
            return None

    return strict


def has_few_fields(data: bytes, limit: int) -> bool:
    """True if a message has at most `limit` fields. Bytes that do not parse may give either answer."""
    at, end = 0, len(data)
    if end <= 2 * limit:  # no field is shorter
        return True
    for _ in range(limit):
        tag, at = _read_varint(data, at)
        if tag & 7 == _LENGTH_DELIMITED:
            length, at = _read_varint(data, at)
            at += length
        elif tag & 7 == _VARINT:
            _, at = _read_varint(data, at)
        elif tag & 7 in (_FIXED64, _FIXED32):
            at += 8 if tag & 7 == _FIXED64 else 4
        else:
            return False
        if at >= end:
            return True
    return False


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends. Past the end of the data there are zeros."""
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return value, at + 1
