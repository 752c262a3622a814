"""A whole log in memory, for the tests: its entries, and every tile of it at its full size."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from mintmark.tlog import bundle, prove
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT, TILE_WIDTH, leaf_hashes
from mintmark.tlog.trust import Bundle, Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class Tree:
    """A tree of these entries. Every smaller size of it can be asked for, too."""

    def __init__(self, entries: Sequence[bytes], items: Sequence[bytes] = ()) -> None:
        self.entries, self.items = tuple(entries), tuple(items)
        self.hashes = leaf_hashes(bundle.join(entries))
        self.edge, self.tiles = Edge().extend(self.hashes)

    @classmethod
    def of(cls, joined: bytes) -> Self:
        """The tree of the entries of a bundle."""
        return cls(bundle.cut(joined))

    def prove(self, spans: Sequence[prove.Span]) -> list[bytes]:
        """The proof, from the tiles that are said to be needed and no others."""
        return prove.prove(spans, {key: self.tiles[key] for key in prove.needed(spans)})

    def root(self, size: int) -> bytes:
        return self.prove([(0, size)])[0] if size else EMPTY_ROOT

    def chunk(self, start: int, end: int, size: int) -> Chunk:
        """What an honest source sends."""
        rows = self.bundles(start, end)
        items = tuple(row.items for row in rows) if self.items else ()
        proof = self.prove(prove.subtree_spans(start, end, size))
        return Chunk(start, end, tuple(row.entries for row in rows), items, tuple(proof))

    def bundles(self, start: int, end: int) -> list[Bundle]:
        """The whole rows from the one that holds `start` to `end`."""
        rows = []
        for at in range(start - start % TILE_WIDTH, end, TILE_WIDTH):
            stop = min(at + TILE_WIDTH, end)
            items = bundle.join(self.items[at:stop]) if self.items else b""
            rows.append(Bundle(at // TILE_WIDTH, stop - at, bundle.join(self.entries[at:stop]), items))
        return rows


def entries(count: int) -> list[bytes]:
    """Entries of many lengths, no two alike."""
    return [b"%d:" % i + bytes(i % 7) for i in range(count)]


@cache
def big() -> Tree:
    """70,000 entries: three levels of tiles."""
    return Tree(entries(70_000))
