"""Sizes of chunks, and of what is read to make them."""

from __future__ import annotations

READ_AHEAD = 4 * 2**20  # bytes of bundles in one query
READ_AHEAD_ALL = 32 * 2**20  # bytes that all streams of a server share: many slow readers get little each
