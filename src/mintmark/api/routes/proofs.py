"""Proofs: those of v1, over its own tree, and tlog-proof files over the tree that is signed (C2SP tlog-proof)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.api import models
from mintmark.api.http_request import whole
from mintmark.api.negotiate import TYPES
from mintmark.api.routes import entries, records
from mintmark.api.routes.context import FOREVER, Reply, missing
from mintmark.errors import Malformed
from mintmark.tlog import prove, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.proof_file import ProofFile, format_proof

if TYPE_CHECKING:
    from mintmark.api.routes.context import RouteContext
    from mintmark.tlog.merkle import Span


async def register(c: RouteContext) -> models.Answer:
    """The v1 root over the user entries."""
    return models.RegisterProof(**c.answer("/proof/register/merkle:sha-256"), v1_root=await v1_root(c, c.view.entries))


async def entry(c: RouteContext, number: str, size: str) -> models.Answer:
    """The v1 audit path of a user entry in the first `size` user entries."""
    at, total = _bounds(c, "an entry's number", number, size)
    hashes = await _v1_prove(c, prove.inclusion_spans(at - 1, total), total)
    path = f"/proof/entries/{at}/{total}/merkle:sha-256"
    return models.EntryProof(**c.answer(path), number=at, hashes=hashes)


async def consistency(c: RouteContext, old: str, size: str) -> models.Answer:
    """The v1 consistency nodes between two numbers of user entries."""
    old_total, total = _bounds(c, "the older size", old, size)
    hashes = await _v1_prove(c, prove.consistency_spans(old_total, total), total)
    path = f"/proof/consistency/{old_total}/{total}/merkle:sha-256"
    return models.ConsistencyProof(**c.answer(path), hashes=hashes)


async def record_file(c: RouteContext, key: str) -> Reply:
    """The tlog-proof of a record's latest entry."""
    return await _file(c, (await records.latest(c, key)).index)


async def entry_file(c: RouteContext, number: str) -> Reply:
    """The tlog-proof of a user entry."""
    return await _file(c, (await entries.by_number(c, number)).index)


async def log_entry_file(c: RouteContext, index: str) -> Reply:
    """The tlog-proof of the entry at an index."""
    at = whole(index)
    if at is None or at >= c.view.size:
        raise missing("entry at index", index, c.view)
    return await _file(c, at)


async def v1_root(c: RouteContext, total: int) -> bytes:
    """The root of the v1 tree over the first `total` user entries."""
    return (await v1_edge(c, total)).root()


async def v1_edge(c: RouteContext, total: int) -> Edge:
    """The edge of the v1 tree over the first `total` user entries."""
    return Edge.load(total, await c.readers.v1_tiles.get(c.log, tile.edge_keys(total), total))


async def _file(c: RouteContext, index: int) -> Reply:
    """The proof at the smallest signed head that covers the view: it is the same file whenever it is asked for."""
    head = c.registers.register(c.view.name).head
    size, note = head.size, head.note
    if c.view.size < size:
        size, note = await c.store.note(c.log, c.view.size, size) or (size, note)
    spans = prove.inclusion_spans(index, size)
    hashes = prove.prove(spans, await c.readers.tiles.get(c.log, prove.needed(spans), size))
    body = format_proof(ProofFile(index, tuple(hashes), note))
    name = f'attachment; filename="{c.view.name}-{index}.tlog-proof"'
    fresh = FOREVER if c.view.fixed else 0
    return Reply(
        TYPES["proof"], body, fresh=fresh, headers={"Content-Disposition": name, "Mintmark-Proof-Size": str(size)}
    )


def _bounds(c: RouteContext, what: str, first: str, second: str) -> tuple[int, int]:
    least, most = whole(first), whole(second)
    if least is None or most is None:
        raise Malformed(f"{what} and the size are whole numbers")
    if not 1 <= least <= most <= c.view.entries:
        raise Malformed(f"{what} is from 1 to the size, and the size at most {c.view.entries}")
    return least, most


async def _v1_prove(c: RouteContext, spans: list[Span], total: int) -> list[bytes]:
    return prove.prove(spans, await c.readers.v1_tiles.get(c.log, prove.needed(spans), total))
