"""Sizes and times on the wire, set explicitly on both ends."""

from __future__ import annotations

MESSAGE = 40 * 2**20  # bytes of an answer; a bundle of maximal entries and one of maximal items are 16 MiB each
BATCH = 16 * 2**20  # bytes of an append
REQUEST = 2**20  # bytes of any other request
FIELDS = 65_536  # in a message; the most are a batch's 32,768 items
READ_AHEAD = 4 * 2**20  # bytes of bundles in one query
READ_AHEAD_ALL = 32 * 2**20  # bytes that all streams of a server share: many slow readers get little each
TILES = 1024  # tiles in one GetTiles call
HASHES = 63  # of any proof: sizes are below 2**63

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MESSAGE),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)
_SERVING = (
    *OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server on it
)
SERVER_OPTIONS = (*_SERVING, ("grpc.max_receive_message_length", REQUEST))
MINT_OPTIONS = (*_SERVING, ("grpc.max_receive_message_length", BATCH))
CLIENT_OPTIONS = (
    *OPTIONS,
    ("grpc.max_receive_message_length", MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)
