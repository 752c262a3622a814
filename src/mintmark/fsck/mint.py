"""The check of a mint's own rows against the entries: definitions, clocks, and the requests of the last week.

Every entry came by one request, and requests are deleted oldest first. So the stored ones lie end to end, up to the
last entry, and a wrong place of one of them is known from its neighbours. A request's id is its client's: a wrong one
cannot be repaired. Its digest is of what the client sent: of an opaque log, these are the entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.fsck.requests import StoredRequest, laid_end_to_end
from mintmark.register.item import SALT
from mintmark.register.reduce import defined_key, fold_clocks
from mintmark.store.fsck import repairs
from mintmark.tlog import bundle
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.fsck.findings import Findings
    from mintmark.register.entry import Row
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.fsck.repairs import Fix
    from mintmark.store.log.model import Log
    from mintmark.tlog.trust import Bundle

SALTED_ITEM_PREFIX = f'{{"{SALT}":"'.encode()  # no other name sorts before it


@dataclass
class MintCheck:
    """The rows of one log that only a mint has. What they should be is collected entry by entry, from `start` on."""

    store: FsckStore
    log: Log
    start: int
    found: Findings
    requests: list[StoredRequest] = field(default_factory=list)  # as they should be, end to end
    definitions: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)
    _salts: set[bool] = field(default_factory=set)  # whether user items are salted
    _parts: list[bytes] = field(default_factory=list)  # the entries so far of the request at `_at`
    _at: int = 0  # in `requests`

    @classmethod
    async def begin(cls, store: FsckStore, log: Log, size: int, start: int, found: Findings) -> MintCheck:
        """A check ready for the entry at `start`; the requests are checked, except their digests."""
        check = cls(store, log, start, found)
        rows = {row[0]: StoredRequest(*row) for row in await store.requests(log.id)}
        check.requests, end = laid_end_to_end(rows.values(), size), None
        for right in check.requests:
            row = rows[right.id]
            if row != right:
                what = f"first {row.first}, count {row.count} where {right.first}, {right.count} belong"
                found("request", row.id.hex(), what, _fix(log, right))
            elif end not in (None, row.first):
                found("request", row.id.hex(), f"first {row.first}, count {row.count}: another ends at {end}")
            end = right.end
        if end not in (None, size):
            found("request", "", f"the last one ends at entry {end} of {size}")
        check._at = next((at for at, row in enumerate(check.requests) if row.first >= start), len(check.requests))
        return check

    def rows(self, rows: Sequence[Row]) -> None:
        """Takes the next entries of a register."""
        fold_clocks(self.clocks, rows)
        for row in rows:
            if (entry := row.entry) is None:
                continue
            if entry.type == "user":
                if row.item is not None:
                    self._salts.add(row.item.startswith(SALTED_ITEM_PREFIX))
            elif (key := defined_key(entry)) is not None:  # of an item that is lost too, as when it was admitted
                self.definitions[key] = (row.index, row.item)

    def bundles(self, rows: Sequence[Bundle]) -> None:
        """Takes the next entries of an opaque log, for the digests of their requests."""
        for row in rows:
            first, end = row.index * TILE_WIDTH, row.index * TILE_WIDTH + row.width
            while self._at < len(self.requests) and (request := self.requests[self._at]).first < end:
                low, high = max(request.first, first) - first, min(request.first + request.count, end) - first
                self._parts.append(bundle.take(row.entries, high)[len(bundle.take(row.entries, low)) :])
                if request.first + request.count > end:
                    break
                self._check_digest(request)

    def _check_digest(self, request: StoredRequest) -> None:
        right = bundle.digest(b"".join(self._parts), b"")
        if right != request.digest:
            fix = _fix(self.log, request._replace(digest=right))
            self.found("request", request.id.hex(), "digest: it is not that of its entries", fix)
        self._parts.clear()
        self._at += 1

    async def finish(self) -> None:
        """Compares what is stored."""
        if self.log.kind == "register":
            await self._definitions()
            await self._clocks()
            self._salt()

    async def _definitions(self) -> None:
        stored = await self.store.definitions(self.log.id)
        for key in stored.keys() - self.definitions.keys():
            if not 0 <= stored[key][0] < self.start:
                fix = repairs.delete_definition(self.log.id, key)
                self.found("definition", key, "no entry defines it", fix)
        for key, (index, item) in self.definitions.items():
            right = None if item is None else repairs.put_definition(self.log.id, key, index, item)
            if key not in stored:
                self.found("definition", key, "lost", right)
            elif stored[key][0] != index:
                self.found("definition", key, f"index: {stored[key][0]} where {index} belongs", right)
            elif item not in (None, stored[key][1]):
                self.found("definition", key, "item: it is not the one that its entry has", right)

    async def _clocks(self) -> None:
        """Compares the clocks. Entries before `start` were not read: a clock may be later than those that were."""
        stored = await self.store.clocks(self.log.id)
        for kind in stored.keys() | self.clocks.keys():
            kept, right = stored.get(kind), self.clocks.get(kind)
            if kept == right or (self.start and kept is not None and kept > (right or "")):
                continue
            log = self.log.id
            fix = repairs.put_clock(log, kind, right) if right else repairs.delete_clock(log, kind)
            self.found("clock", kind, f"timestamp: {kept or 'nothing'} where {right or 'nothing'} belongs", fix)

    def _salt(self) -> None:
        """Checks that the log is marked as salted if its user items are: all of them are, or none."""
        if self._salts == {not self.log.salted}:
            fix = repairs.set_log_kind(self.log.id, self.log.kind, salted=not self.log.salted)
            self.found("log", self.log.id, f"salted: {self.log.salted} where {not self.log.salted} belongs", fix)


def _fix(log: Log, right: StoredRequest) -> Fix:
    return repairs.set_request(log.id, right.id, right.first, right.count, right.digest)
