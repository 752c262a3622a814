"""The right edge of a log's tree at a past size, from a server that is not trusted: a download may begin anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import WIDTH
from mintmark.tlog.merkle import check_consistency

if TYPE_CHECKING:
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint


async def edge_at(client: RpcClient, head: Checkpoint, size: int) -> Edge:
    """The edge of the first `size` entries, shown to be of the head's tree. Raises ProofError where it is not."""
    if size == 0:
        return Edge()
    keys = tile.edge_keys(size)
    refs = [(level, index, (size >> 8 * level) - index * WIDTH) for level, index in keys]
    hashes = await client.tiles(head.origin, refs)
    proof = await client.consistency(head.origin, size, head.size)
    if len(hashes) != len(keys):
        raise ProofError(f"the server sent {len(hashes)} tiles of {len(keys)}")
    try:
        edge = Edge.load(size, dict(zip(keys, hashes, strict=True)))
        check_consistency(size, edge.root(), head.size, head.root, proof)
    except Malformed as error:
        raise ProofError(f"the server sent what does not parse: {error}") from error
    return edge
