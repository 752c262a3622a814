"""Items and erasures of a register: which are there, which were erased, and which are lost.

an item that is empty, and an entry behind it that erases it     erased
an item that is empty, and no such entry                         lost
an item that an entry erases, and that is there                  should not be
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, ProofError
from mintmark.mirror.fsck.damage import Damage
from mintmark.register.entry import erased_index
from mintmark.register.item import item_hash
from mintmark.register.kernel import open_rows
from mintmark.store import fsck_store as sql
from mintmark.tlog import bundle
from mintmark.tlog.kernel import HASH, WIDTH, leaf_hashes

if TYPE_CHECKING:
    from mintmark.register.entry import Row
    from mintmark.store.fsck_store import FsckStore
    from mintmark.store.model import Log
    from mintmark.tlog.trust import Bundle


@dataclass
class ItemsCheck:
    """The items of one log, from index `start` on."""

    store: FsckStore
    log: Log
    start: int
    damages: list[Damage] = field(default_factory=list)
    bundles: set[int] = field(default_factory=set)  # those with an item that is wrong or lost
    unknown: set[int] = field(default_factory=set)  # indices of wrong items
    erased: dict[int, int] = field(default_factory=dict)  # index -> the entry that erases it
    _empty: set[int] = field(default_factory=set)

    def found(self, table: str, key: str, what: str) -> None:
        """Notes a damage."""
        self.damages.append(Damage(self.log.origin, table, key, what))

    def open(self, row: Bundle) -> list[Row]:
        """The rows of a bundle whose entries are right; a wrong item is noted, and taken for none."""
        first, hashes = row.index * WIDTH, leaf_hashes(row.entries)
        try:
            rows = open_rows(first, 0, hashes, row.entries, row.items)
        except (ProofError, Malformed):
            rows = open_rows(first, 0, hashes, row.entries, self._without_wrong(row, hashes))
        for opened in rows:
            if opened.missing and opened.index not in self.unknown:
                self._empty.add(opened.index)
            if opened.entry is not None and opened.entry.type == "system":
                erased = erased_index(opened.entry.key)
                if erased is not None and erased < opened.index:
                    self.erased.setdefault(erased, opened.index)
        return rows

    def _without_wrong(self, row: Bundle, hashes: bytes) -> bytes:
        count = len(hashes) // HASH
        try:
            items = bundle.cut(row.items, count)
        except Malformed:  # noted by the tree's check
            items = [b""] * count
            self.unknown.update(range(row.index * WIDTH, row.index * WIDTH + count))
        bare = open_rows(row.index * WIDTH, 0, hashes, row.entries, bytes(2 * count))
        for at, (opened, item) in enumerate(zip(bare, items, strict=True)):
            named = opened.entry.item_hash if opened.entry is not None else None
            if item and item_hash(item) != named:
                self.found("bundle", str(row.index), f"items: the one of entry {opened.index} is not what it names")
                self.bundles.add(row.index)
                self.unknown.add(opened.index)
                items[at] = b""
        return bundle.join(items)

    async def finish(self, mirrored: bool) -> None:
        """What can be said when every erasure has been seen."""
        for index in sorted(self._empty - self.erased.keys()):
            self.found(
                "bundle", str(index // WIDTH), f"items: the one of entry {index} is lost, and no entry erases it"
            )
            self.bundles.add(index // WIDTH)
        for index in sorted(self.erased.keys() - self._empty):
            await self._check_erased(index)
        if mirrored:
            await self._missing()

    async def _check_erased(self, index: int) -> None:
        for row in await self.store.bundles(self.log.id, index // WIDTH, index // WIDTH + 1, 1):
            items = bundle.cut(row.items)
            if index % WIDTH < len(items) and items[index % WIDTH] and index not in self.unknown:
                self.found("bundle", str(row.index), f"items: entry {self.erased[index]} erased that of {index}")
                self.bundles.add(row.index)

    async def _missing(self) -> None:
        expected: dict[int, int | None] = dict.fromkeys(self._empty)
        expected.update(self.erased)
        stored: dict[int, int | None] = dict(await self.store.fetch(sql.MISSING, (self.log.id, self.start)))
        for index in sorted(expected.keys() | stored.keys()):
            if index < self.start:
                continue
            if index not in stored or index not in expected:
                self.found("missing", str(index), "lost" if index not in stored else "its item is there")
            elif stored[index] != expected[index]:
                self.found("missing", str(index), f"by: {stored[index]} where {expected[index]} belongs")
