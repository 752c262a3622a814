"""Proofs: those of v1, over the v1 tree, and tlog-proof files over the tree that is signed (C2SP tlog-proof).

A proof file holds the entry and its item, as `mintmark prove` writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.formats import CONTENT_TYPES
from mintmark.api.requests import parse_number
from mintmark.api.responses import DAY_SECONDS, head_headers, response
from mintmark.api.routes import entries, records
from mintmark.errors import Malformed
from mintmark.register import canonical
from mintmark.register.entry import TYPES, Entry, format_entry
from mintmark.tlog import bundle, prove, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.proof_file import ProofFile, ProofParts, format_parts, format_proof

if TYPE_CHECKING:
    from starlette.responses import Response

    from mintmark.api.requests import RouteContext
    from mintmark.store.registers.register_store import EntryRow
    from mintmark.tlog.merkle import Span


async def register(c: RouteContext) -> models.Model:
    """The v1 root over the user entries."""
    return models.RegisterProof(**c.about("/proof/register/merkle:sha-256"), v1_root=await v1_root(c, c.view.entries))


async def entry(c: RouteContext, number: str, size: str) -> models.Model:
    """The v1 audit path of a user entry in the first `size` user entries."""
    position, total = _bounds(c, "an entry's number", number, size)
    hashes = await _v1_prove(c, prove.inclusion_spans(position - 1, total), total)
    path = f"/proof/entries/{position}/{total}/merkle:sha-256"
    return models.EntryProof(**c.about(path), number=position, hashes=hashes)


async def consistency(c: RouteContext, old: str, size: str) -> models.Model:
    """The v1 consistency nodes between two numbers of user entries."""
    old_total, total = _bounds(c, "the older size", old, size)
    hashes = await _v1_prove(c, prove.consistency_spans(old_total, total), total)
    path = f"/proof/consistency/{old_total}/{total}/merkle:sha-256"
    return models.ConsistencyProof(**c.about(path), hashes=hashes)


async def record_file(c: RouteContext, key: str) -> Response:
    """The tlog-proof of a record's latest entry."""
    row = await records.latest(c, key)
    return await _file(c, row.index, row)


async def entry_file(c: RouteContext, number: str) -> Response:
    """The tlog-proof of a user entry."""
    row = await entries.by_number(c, number)
    return await _file(c, row.index, row)


async def log_entry_file(c: RouteContext, index: str) -> Response:
    """The tlog-proof of the entry at an index."""
    position = parse_number(index)
    if position is None or position >= c.view.size:
        raise c.missing("entry at index", index)
    return await _file(c, position, await c.store.by_index(c.log, position))


async def v1_root(c: RouteContext, total: int) -> bytes:
    """The root of the v1 tree over the first `total` user entries."""
    return (await v1_edge(c, total)).root()


async def v1_edge(c: RouteContext, total: int) -> Edge:
    """The edge of the v1 tree over the first `total` user entries."""
    return Edge.load(total, await c.reads.v1_tiles.get(c.log, tile.edge_keys(total), total))


async def _file(c: RouteContext, index: int, row: EntryRow | None) -> Response:
    """The proof at the smallest signed head that covers the view: the same at any later time, but for an erasure."""
    head = c.registers.register(c.view.name).head
    size, note = head.size, head.note
    if c.view.size < size:
        size, note = await c.store.note(c.log, c.view.size, size) or (size, note)
    spans = prove.inclusion_spans(index, size)
    hashes = prove.prove(spans, await c.reads.tiles.get(c.log, prove.needed(spans), size))
    extra = format_parts(await _parts(c, index, row))
    headers = {
        "Content-Disposition": f'attachment; filename="{c.view.name}-{index}.tlog-proof"',
        "Mintmark-Proof-Size": str(size),
        **head_headers(c.view.origin, c.view.size, c.view.root),
    }
    body = format_proof(ProofFile(index, tuple(hashes), note, extra))
    return response(body, CONTENT_TYPES["proof"], max_age=DAY_SECONDS if c.view.fixed else 0, headers=headers)


async def _parts(c: RouteContext, index: int, row: EntryRow | None) -> ProofParts:
    """The entry and its item, from their row; what has no row, or one without its item, is cut from the bundle."""
    if row is not None and (row.item is not None or row.item_hash is None):
        entry = format_entry(Entry(row.key, row.timestamp, TYPES[row.type], row.item_hash))
        return ProofParts(entry, None if row.item is None else canonical.format(row.item))
    at = index % TILE_WIDTH
    (held,) = await c.store.bundles(c.log, index // TILE_WIDTH, index // TILE_WIDTH + 1, 1)
    return ProofParts(bundle.cut(held.entries)[at], bundle.cut(held.items)[at] or None)


def _bounds(c: RouteContext, kind: str, first: str, second: str) -> tuple[int, int]:
    number, size = parse_number(first), parse_number(second)
    if number is None or size is None:
        raise Malformed(f"{kind} and the size are whole numbers")
    if not 1 <= number <= size <= c.view.entries:
        raise Malformed(f"{kind} is from 1 to the size, and the size at most {c.view.entries}")
    return number, size


async def _v1_prove(c: RouteContext, spans: list[Span], total: int) -> list[bytes]:
    return prove.prove(spans, await c.reads.v1_tiles.get(c.log, prove.needed(spans), total))
