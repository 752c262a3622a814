"""The check of a register's items: stored, erased, or lost.

an empty item, and a later entry that erases it     erased
an empty item, and no such entry                    lost; withheld, where it was never shown
an item that is there, and a later entry erases     to be removed
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError
from mintmark.register.item import item_hash
from mintmark.register.kernel import open_rows
from mintmark.register.reduce import fold_erasures
from mintmark.store.fsck import repairs
from mintmark.tlog import bundle
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH, leaf_hashes

if TYPE_CHECKING:
    from mintmark.fsck.findings import Findings
    from mintmark.register.entry import Row
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.log.model import Log
    from mintmark.tlog.trust import Bundle


@dataclass
class ItemsCheck:
    """The items of one log, from index `start` on."""

    store: FsckStore
    log: Log
    start: int
    found: Findings
    bundles: set[int] = field(default_factory=set)  # with an item that is wrong or lost
    unknown: set[int] = field(default_factory=set)  # indices of wrong items
    erased: dict[int, int] = field(default_factory=dict)  # index -> the entry that erases it
    _empty: set[int] = field(default_factory=set)

    @property
    def unexplained(self) -> bool:
        """True if an item was empty and no entry so far erases it."""
        return not self._empty <= self.erased.keys()

    def open(self, row: Bundle) -> list[Row]:
        """The rows of a bundle whose entries are right; a wrong item is noted, and left out."""
        first, hashes = row.index * TILE_WIDTH, leaf_hashes(row.entries)
        try:
            rows = open_rows(first, 0, hashes, row.entries, row.items)
        except (ProofError, Malformed):
            rows = open_rows(first, 0, hashes, row.entries, self._without_wrong(row, hashes))
        for opened in rows:
            if opened.missing and opened.index not in self.unknown:
                self._empty.add(opened.index)
        fold_erasures(self.erased, rows)
        return rows

    def _without_wrong(self, row: Bundle, hashes: bytes) -> bytes:
        count = len(hashes) // HASH_BYTES
        try:
            items = bundle.cut(row.items, count)
        except Malformed:  # noted by the tree's check
            items = [b""] * count
            self.unknown.update(range(row.index * TILE_WIDTH, row.index * TILE_WIDTH + count))
        bare = open_rows(row.index * TILE_WIDTH, 0, hashes, row.entries, bytes(2 * count))
        for at, (opened, item) in enumerate(zip(bare, items, strict=True)):
            named = opened.entry.item_hash if opened.entry is not None else None
            if item and item_hash(item) != named:
                self.found("bundle", row.index, f"items: the one of entry {opened.index} is not what it names")
                self.bundles.add(row.index)
                self.unknown.add(opened.index)
                items[at] = b""
        return bundle.join(items)

    async def finish(self, mirrored: bool, shown: int, signed: int) -> None:
        """Compares items and erasures, now that all are known.

        `shown` is the size of the head, `signed` that of the last signed tree of which all entries are here. Beyond it
        erasures may still come.
        """
        for index in sorted(index for index in self._empty - self.erased.keys() if index < shown):
            what = f"items: the one of entry {index} is lost, and no entry erases it"
            self.found("bundle", index // TILE_WIDTH, what)
            self.bundles.add(index // TILE_WIDTH)
        await self._withheld(shown, signed)
        for at, indices in groupby(sorted(self.erased.keys() - self._empty), lambda index: index // TILE_WIDTH):
            await self._check_erased(at, list(indices))
        if mirrored:
            await self._missing()

    async def _withheld(self, shown: int, signed: int) -> None:
        indices = sorted(index for index in self._empty - self.erased.keys() if shown <= index < signed)
        senders = await self.store.senders(self.log.id, indices) if indices else {}
        for index in indices:
            who = f"withheld by {senders.get(index) or 'a source'}, and none of {signed} entries erases it"
            what = f"item: it was {who}; a mirror asks its other sources for it, --repair-from the one that is named"
            self.found("missing", index, what)
            self.bundles.add(index // TILE_WIDTH)

    async def _check_erased(self, at: int, indices: list[int]) -> None:
        for row in await self.store.bundles(self.log.id, at, at + 1, 1):
            try:
                items = bundle.cut(row.items, row.width)
            except Malformed:  # noted by the tree's check
                return
            kept = [index for index in indices if items[index % TILE_WIDTH] and index not in self.unknown]
            for index in kept:
                items[index % TILE_WIDTH] = b""
            fix = repairs.set_bundle_items(self.log.id, at, bundle.join(items))
            for index in kept:
                self.found("bundle", at, f"items: entry {self.erased[index]} erased that of {index}", fix)

    async def _missing(self) -> None:
        expected: dict[int, int | None] = dict.fromkeys(self._empty)
        expected.update(self.erased)
        stored = await self.store.missing(self.log.id, self.start, list(expected))
        for index in sorted(expected.keys() | stored.keys()):
            if index not in expected:
                fix = repairs.delete_row("missing", self.log.id, index)
                self.found("missing", index, "its item is there", fix)
                continue
            fix = repairs.put_missing(self.log.id, index, expected[index])
            if index not in stored:
                self.found("missing", index, "lost", fix)
            elif stored[index] != expected[index]:
                self.found("missing", index, f"by: {stored[index]} where {expected[index]} belongs", fix)
