"""Verified entries as a person or a machine reads them: one line an entry.

{"index":7,"entry":{…},"item":{…}}     a register entry; the item is null for a tombstone, and once it is erased
{"index":7,"base64":"…"}               anything else
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from mintmark.client.download import is_register, leaves
from mintmark.formats.register import open_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mintmark.register.entry import Row
    from mintmark.tlog.trust import VerifiedChunk


def json_lines(chunk: VerifiedChunk) -> Iterator[bytes]:
    """The new entries of a chunk as JSON Lines; canonical bytes go through as they were hashed."""
    for index, leaf, row in _rows(chunk):
        if row is None or row.entry is None:
            yield b'{"index":%d,"base64":"%b"}\n' % (index, b64encode(leaf))
        else:
            yield b'{"index":%d,"entry":%b,"item":%b}\n' % (index, leaf, row.item or b"null")


def text_lines(chunk: VerifiedChunk) -> Iterator[bytes]:
    """The new entries of a chunk as columns for the eye."""
    for index, leaf, row in _rows(chunk):
        if row is None or row.entry is None:
            yield b"%d\t%b\n" % (index, leaf if leaf.isascii() and leaf.decode().isprintable() else leaf.hex().encode())
        else:
            entry, item = row.entry, row.item or (b"(erased)" if row.missing else b"(ended)")
            yield b"%d\t%b\t%b\n" % (index, "\t".join((entry.timestamp, entry.type, entry.key)).encode(), item)


def _rows(chunk: VerifiedChunk) -> Iterator[tuple[int, bytes, Row | None]]:
    rows = iter(open_chunk(chunk)) if is_register(chunk) else None
    for index, leaf in leaves(chunk):
        yield index, leaf, next(rows) if rows else None


def user_rows(chunk: VerifiedChunk) -> list[Row]:
    """The records' entries among a register chunk's."""
    return [row for row in open_chunk(chunk) if row.entry is not None and row.entry.type == "user"]
