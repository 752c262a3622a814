"""Proofs: those of v1, over the v1 tree, and tlog-proof files over the tree that is signed (C2SP tlog-proof)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.formats import CONTENT_TYPES
from mintmark.api.requests import parse_number
from mintmark.api.responses import YEAR_SECONDS, head_headers, response
from mintmark.api.routes import entries, records
from mintmark.errors import Malformed
from mintmark.tlog import prove, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.proof_file import ProofFile, format_proof

if TYPE_CHECKING:
    from starlette.responses import Response

    from mintmark.api.requests import RouteContext
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
    return await _file(c, (await records.latest(c, key)).index)


async def entry_file(c: RouteContext, number: str) -> Response:
    """The tlog-proof of a user entry."""
    return await _file(c, (await entries.by_number(c, number)).index)


async def log_entry_file(c: RouteContext, index: str) -> Response:
    """The tlog-proof of the entry at an index."""
    position = parse_number(index)
    if position is None or position >= c.view.size:
        raise c.missing("entry at index", index)
    return await _file(c, position)


async def v1_root(c: RouteContext, total: int) -> bytes:
    """The root of the v1 tree over the first `total` user entries."""
    return (await v1_edge(c, total)).root()


async def v1_edge(c: RouteContext, total: int) -> Edge:
    """The edge of the v1 tree over the first `total` user entries."""
    return Edge.load(total, await c.reads.v1_tiles.get(c.log, tile.edge_keys(total), total))


async def _file(c: RouteContext, index: int) -> Response:
    """The proof at the smallest signed head that covers the view, so that the file is the same at any later time."""
    head = c.registers.register(c.view.name).head
    size, note = head.size, head.note
    if c.view.size < size:
        size, note = await c.store.note(c.log, c.view.size, size) or (size, note)
    spans = prove.inclusion_spans(index, size)
    hashes = prove.prove(spans, await c.reads.tiles.get(c.log, prove.needed(spans), size))
    body = format_proof(ProofFile(index, tuple(hashes), note))
    headers = {
        "Content-Disposition": f'attachment; filename="{c.view.name}-{index}.tlog-proof"',
        "Mintmark-Proof-Size": str(size),
        **head_headers(c.view.origin, c.view.size, c.view.root),
    }
    return response(body, CONTENT_TYPES["proof"], max_age=YEAR_SECONDS if c.view.fixed else 0, headers=headers)


def _bounds(c: RouteContext, kind: str, first: str, second: str) -> tuple[int, int]:
    number, size = parse_number(first), parse_number(second)
    if number is None or size is None:
        raise Malformed(f"{kind} and the size are whole numbers")
    if not 1 <= number <= size <= c.view.entries:
        raise Malformed(f"{kind} is from 1 to the size, and the size at most {c.view.entries}")
    return number, size


async def _v1_prove(c: RouteContext, spans: list[Span], total: int) -> list[bytes]:
    return prove.prove(spans, await c.reads.v1_tiles.get(c.log, prove.needed(spans), total))
