"""What a mint keeps beside its logs, against the entries: definitions, clocks, and the requests of the last week.

Every entry came by one request, and requests are forgotten oldest first. So those that are there lie end to end, up to
the last entry. A request's id and digest are its client's: nothing in the log says what they were.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.mirror.fsck.damage import Damage
from mintmark.register.entry import erased_index
from mintmark.store import fsck_store as sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.register.entry import Row
    from mintmark.store.fsck_store import FsckStore
    from mintmark.store.model import Log


@dataclass
class MintCheck:
    """The rows of one log that only a mint has. What they should be is gathered entry by entry."""

    store: FsckStore
    log: Log
    definitions: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)

    def found(self, table: str, key: str, what: str) -> None:
        """Notes a damage."""
        self.damages.append(Damage(self.log.origin, table, key, what))

    def rows(self, rows: Sequence[Row]) -> None:
        """Takes entries in, in order."""
        for row in rows:
            if (entry := row.entry) is None:
                continue
            self.clocks[entry.type] = max(entry.timestamp, self.clocks.get(entry.type, ""))
            if entry.type == "system" and entry.item_hash is not None and erased_index(entry.key) is None:
                self.definitions[entry.key] = (row.index, row.item)

    async def finish(self, size: int) -> None:
        """Compares what is stored."""
        stored = {key: (index, item) for key, index, item in await self.store.fetch(sql.DEFINITIONS, (self.log.id,))}
        for key in self.definitions.keys() | stored.keys():
            if key not in stored or key not in self.definitions:
                self.found("definition", key, "lost" if key not in stored else "no entry defines it")
            elif stored[key][0] != self.definitions[key][0]:
                self.found("definition", key, f"index: {stored[key][0]} where {self.definitions[key][0]} belongs")
            elif self.definitions[key][1] not in (None, stored[key][1]):
                self.found("definition", key, "item: it is not the one that its entry has")
        clocks: dict[str, str] = dict(await self.store.fetch(sql.CLOCKS, (self.log.id,)))
        for kind in self.clocks.keys() | clocks.keys():
            if clocks.get(kind) != self.clocks.get(kind):
                self.found("clock", kind, f"timestamp: {clocks.get(kind)} where {self.clocks.get(kind)} belongs")
        await self._requests(size)

    async def _requests(self, size: int) -> None:
        end = None
        for id_, _, first, count in await self.store.fetch(sql.REQUESTS, (self.log.id,)):
            if count < 1 or first + count > size or end not in (None, first):
                self.found("request", id_.hex(), f"first {first}, count {count}: it does not begin where another ends")
            end = first + count
        if end not in (None, size):
            self.found("request", "", f"the last one ends at entry {end} of {size}")
