"""Checking one log of a database, all of it or from an index on; and the rows that are of no log.

The parts are in the order of trust: notes, then the tree below them, then what the entries say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, MintmarkError
from mintmark.mirror.fsck.damage import Damage
from mintmark.mirror.fsck.items import ItemsCheck
from mintmark.mirror.fsck.mint import MintCheck
from mintmark.mirror.fsck.notes import Notes, read_notes
from mintmark.mirror.fsck.rows import RowsCheck
from mintmark.mirror.fsck.tree import Read, TreeCheck
from mintmark.store import fsck_store as sql
from mintmark.store.model import short_name
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.store.fsck_store import FsckStore
    from mintmark.store.model import Log
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

LOOSE = ("entry", "missing", "v1_tile")  # tables whose rows no constraint ties to a log


@dataclass
class Checked:
    """What a check of one log came to. `size` entries are there; those below `upto` were checked in full.

    `lied`: rows and signed notes are each sound, and do not fit together.
    """

    log: Log
    size: int
    upto: int
    damages: list[Damage]
    bundles: set[int] = field(default_factory=set)  # those to be restored
    erased: dict[int, int] = field(default_factory=dict)
    best: Checkpoint | None = None  # the largest signed head
    lied: bool = False


async def check_log(
    store: FsckStore,
    log: Log,
    verifiers: Sequence[Verifier],
    *,
    mirrored: bool,
    since: int = 0,
    step: Callable[[int], None] = lambda entries: None,
) -> Checked:
    """Checks a log from the bundle of index `since` on; `step` hears of progress in entries.

    Raises MintmarkError where the rows before `since` do not let it begin there; Unavailable.
    """
    notes = await read_notes(store, log, verifiers, mirrored)
    size = await _size(store, log, notes, mirrored)
    start = min(since, size) // WIDTH * WIDTH
    tree = TreeCheck(store, log, sorted(notes.marks, key=lambda mark: mark.size), size, await _edge(store, log, start))
    walk = _Walk(store, log, tree, mirrored, start)
    await walk.run(step)
    damages = [*notes.damages, *_misnamed(log), *_beyond(log, notes, size), *tree.damages, *walk.damages]
    lied = tree.contradicted is not None and not tree.bundles
    bundles = tree.bundles | walk.items.bundles
    return Checked(log, size, walk.upto, _once(damages), bundles, walk.items.erased, notes.best, lied)


async def check_strays(store: FsckStore) -> list[Damage]:
    """Rows that name a log that is not there."""
    return [
        Damage("(no log)", table, str(log), "rows of a log that is not there")
        for table in LOOSE
        for log in await store.stray_logs(table)
    ]


class _Walk:
    """The entries as they stream by, past everything that looks at them."""

    def __init__(self, store: FsckStore, log: Log, tree: TreeCheck, mirrored: bool, start: int) -> None:
        self.items = ItemsCheck(store, log, start)
        self.upto = start
        self._store, self._log, self._tree, self._mirrored = store, log, tree, mirrored
        self._rows: RowsCheck | None = None
        self._mint = None if mirrored or start or log.kind == "opaque" else MintCheck(store, log)

    @property
    def damages(self) -> list[Damage]:
        found = list(self.items.damages)
        for part in (self._rows, self._mint):
            found += part.damages if part is not None else []
        return found

    async def run(self, step: Callable[[int], None]) -> None:
        if self._mirrored:
            self._rows = await RowsCheck.begin(self._store, self._log, self.upto)
        async for read in self._tree.walk():
            await self._take(read)
            step(read.end - read.start)
        if self.upto == self._tree.size:
            await self._finish()

    async def _take(self, read: Read) -> None:
        """After a bundle that is damaged nothing can be said of rows: they count on from one to the next."""
        if self.upto != read.start:
            return
        if self._log.kind == "opaque":
            if self._rows is not None:
                await self._rows.leaves(read.start, read.hashes)
            self.upto = read.end
            return
        for row in read.sound:
            if row.index * WIDTH != self.upto:
                return
            rows = self.items.open(row)
            if self._rows is not None:
                await self._rows.rows(rows, self.items.unknown)
            if self._mint is not None:
                self._mint.rows(rows)
            self.upto += len(rows)

    async def _finish(self) -> None:
        size = self._tree.size
        if self._rows is not None:
            await self._rows.finish(size)
        if self._log.kind == "register":
            await self.items.finish(self._mirrored)
        if self._mint is not None:
            await self._mint.finish(size)


async def _size(store: FsckStore, log: Log, notes: Notes, mirrored: bool) -> int:
    """How many entries are there: what most rows say, the signed ones twice. Notes what says another."""
    ends = [sql.BUNDLES_END, sql.TILES_END, *([sql.ENTRIES_END] if mirrored else [])]
    said = [rows[0][0] for rows in [await store.fetch(end, (log.id,)) for end in ends] if rows]
    votes = Counter(said) + Counter([notes.durable] if notes.durable is not None else [0])
    for mark in notes.marks:
        if votes[mark.size]:
            votes[mark.size] += 1
    size = max(votes, key=lambda end: (votes[end], end))
    if mirrored and notes.durable not in (None, size):
        what = f"size: {notes.durable} where the rows hold {size} entries"
        notes.damages.append(Damage(log.origin, "progress", "", what))
    return max(size, 0)


async def _edge(store: FsckStore, log: Log, start: int) -> Edge:
    tiles = await store.tiles("tile", log.id, tile.edge_keys(start)) if start else {}
    try:
        return Edge.load(start, {key: stored.hashes for key, stored in tiles.items()})
    except Malformed as error:
        raise MintmarkError(f"{log.origin}: {error}; run fsck without --since") from error


def _misnamed(log: Log) -> list[Damage]:
    if log.name == short_name(log.origin):
        return []
    return [Damage(log.origin, "log", str(log.id), f"name: {log.name!r} where {short_name(log.origin)!r} belongs")]


def _beyond(log: Log, notes: Notes, size: int) -> list[Damage]:
    """Heads that are shown and whose entries are not all there; a pending one may be."""
    return [
        Damage(log.origin, mark.table, mark.key, f"size: {mark.size}, and the rows hold {size} entries")
        for mark in notes.marks
        if mark.size > size and mark.table != "progress"
    ]


def _once(damages: Sequence[Damage]) -> list[Damage]:
    """One finding a row, the first."""
    found: dict[tuple[str, str, str], Damage] = {}
    for damage in damages:
        found.setdefault((damage.table, damage.key, damage.what.split(":")[0]), damage)
    return list(found.values())
