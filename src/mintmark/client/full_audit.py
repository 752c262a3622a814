"""Reading a whole log and checking all of it: every leaf, item, erasure and root; the root once more by pymerkle.

pymerkle is another implementation by other people, under another licence: imported here alone, and only if asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mintmark.cli.output import progress
from mintmark.client import download
from mintmark.errors import Misconfigured, ProofError
from mintmark.formats.register import open_chunk
from mintmark.register.reduce import ItemGaps

if TYPE_CHECKING:
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import LogVerifier


class SecondTree(Protocol):
    """What we ask of the other implementation."""

    def append_entry(self, data: bytes) -> int:
        """Appends a leaf."""

    def get_root(self) -> bytes:
        """The root over all leaves."""


def second_tree() -> SecondTree:
    """An empty tree of pymerkle's. Raises Misconfigured when it is not installed."""
    try:
        from pymerkle import InmemoryTree
    except ImportError as error:
        raise Misconfigured(
            "pymerkle is not installed; run pip install 'mintmark[second-opinion]', or pip install pymerkle"
        ) from error
    tree: SecondTree = InmemoryTree(algorithm="sha256")  # type: ignore[no-untyped-call]
    return tree


async def read_all(
    client: RpcClient, trusted: LogVerifier, head: Checkpoint, second: SecondTree | None, as_json: bool
) -> None:
    """Reads every entry up to the head that `trusted` has accepted. Raises ProofError, with the head, for any fault."""
    gaps = ItemGaps()
    with progress(f"auditing {head.origin}", head.size, as_json) as step:
        async for chunk in download.get_chunks(client, trusted, head.size):
            if download.is_register(chunk):
                gaps.fold(open_chunk(chunk))
            if second is not None:
                for _, leaf in download.leaves(chunk):
                    second.append_entry(leaf)
            step(chunk.end - chunk.start)
    if lost := gaps.unexplained():
        raise ProofError(f"the item of entry {min(lost)} is missing, and no entry erases it", head.note)
    if second is not None and (root := second.get_root()) != head.root:
        raise ProofError(f"pymerkle computes the root {root.hex()}, the log signed {head.root.hex()}", head.note)
