"""The check of one log of a database, all of it or from an index on.

The parts are in the order of trust: notes, then the tree below them, then what the entries say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, MintmarkError
from mintmark.fsck.damaged_notes import Opener
from mintmark.fsck.findings import Damage, Findings
from mintmark.fsck.items import ItemsCheck
from mintmark.fsck.mint import MintCheck
from mintmark.fsck.notes import Notes
from mintmark.fsck.rows import RowsCheck
from mintmark.fsck.tree import TreeCheck
from mintmark.store.fsck import repairs
from mintmark.tlog import tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import TILE_WIDTH
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mintmark.fsck.tree import LeafRun
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.log.model import Log, LogKind
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier

    Step = Callable[[int, bool], None]


@dataclass
class CheckResult:
    """The result of the check of one log with `size` entries, of which [start, upto) were checked in full.

    `lied`: the rows are sound, the signed notes are too, and they do not fit together: the log lied.
    """

    log: Log
    size: int
    start: int
    upto: int
    damages: list[Damage]
    known: Mapping[int, Checkpoint]  # the signed heads in this database, by size
    bundles: set[int] = field(default_factory=set)  # with entries that are lost or wrong
    items: set[int] = field(default_factory=set)  # bundles with an item that is lost or wrong
    erased: Mapping[int, int] = field(default_factory=dict)
    lied: bool = False
    too_many: bool = False  # so many rows are wrong that all are to be written again


async def check_log(
    store: FsckStore,
    log: Log,
    verifiers: Sequence[Verifier],
    *,
    cosigners: Sequence[Verifier] = (),
    since: int = 0,
    sent: Sequence[bytes] = (),
    step: Step = lambda upto, sound: None,
) -> CheckResult:
    """Checks a log from the bundle of index `since` on. Raises Unavailable.

    `sent` are notes of the log from a source, `cosigners` the keys of this mirror. `step` is called with the index that
    the check reached, and True if everything before it is sound, so that a later check may begin there.

    Raises MintmarkError where the rows before `since` are too damaged to begin there.
    """
    found = Findings(log.origin)
    mirrored = await store.mirrored()
    log = await _rightly_named(store, log, mirrored, found)
    notes = Notes(log, Opener(log.origin, verifiers, cosigners), found, mirrored, start=since)
    await notes.read(store, sent)
    tree = await open_tree(store, log, notes, found)
    size, start = tree.size, tree.edge.size
    walk = _Walk(store, log, tree, notes, found)
    notes.judge(size)
    await walk.run(step)
    lied = tree.contradicted is not None and not tree.leaves.bundles and not start
    items = walk.items
    return CheckResult(
        *(log, size, start, walk.upto, found.once(), notes.known),
        *(tree.leaves.bundles, items.bundles, items.erased, lied, walk.too_many),
    )


async def open_tree(store: FsckStore, log: Log, notes: Notes, found: Findings) -> TreeCheck:
    """The check of the tree, from the first note that was read on. Raises as `check_log` does."""
    size = await _size(store, log, notes)
    edge = await _edge(store, log, min(notes.start, size) // TILE_WIDTH * TILE_WIDTH)
    return TreeCheck(store, log, notes.roots, size, edge, found)


class _Walk:
    """One pass over the entries, which hands them to every check."""

    def __init__(self, store: FsckStore, log: Log, tree: TreeCheck, notes: Notes, found: Findings) -> None:
        self.upto = start = tree.edge.size
        mirrored = notes.mirrored
        self.items = ItemsCheck(store, log, start, found)
        self._shown = notes.shown if mirrored else tree.size
        complete = any(root.signed and root.size == tree.size for root in notes.roots)
        self._signed = tree.size if complete else self._shown
        self._store, self._log, self._tree, self._found = store, log, tree, found
        self._mirrored, self._start = mirrored, start
        self._rows: RowsCheck | None = None
        self._mint: MintCheck | None = None

    @property
    def too_many(self) -> bool:
        return self._rows is not None and self._rows.too_many

    async def run(self, step: Step) -> None:
        if self._mirrored:
            self._rows = await RowsCheck.begin(self._store, self._log, self.upto, self._found)
        else:
            size = self._tree.size
            self._mint = await MintCheck.begin(self._store, self._log, size, self._start, self._found)
        async with aclosing(self._tree.walk()) as reads:
            async for read in reads:
                await self._take(read)
                step(read.end, not self._found.damages and not self.items.unexplained)
        if self.upto == self._tree.size:
            await self._finish()

    async def _take(self, read: LeafRun) -> None:
        """After a damaged bundle nothing can be said of rows: each counts on from the one before."""
        if self.upto != read.start or self.too_many:
            return
        if self._log.kind == "opaque":
            await self._take_opaque(read)
        else:
            await self._take_register(read)

    async def _take_opaque(self, read: LeafRun) -> None:
        if self._rows is not None:
            await self._rows.leaves(read.start, read.hashes)
        if self._mint is not None:
            if sum(row.width for row in read.sound) != read.end - read.start:
                return
            await asyncio.to_thread(self._mint.bundles, read.sound)
        self.upto = read.end

    async def _take_register(self, read: LeafRun) -> None:
        rows = []
        for row in read.sound:
            if row.index * TILE_WIDTH != self.upto:
                break
            rows += self.items.open(row)
            self.upto = rows[-1].index + 1
        if rows and self._rows is not None:
            await self._rows.rows(rows, self.items.unknown)
        if rows and self._mint is not None:
            self._mint.rows(rows)

    async def _finish(self) -> None:
        if self._rows is not None and not self.too_many:
            await self._rows.finish(self._tree.size)
        if self._log.kind == "register":
            await self.items.finish(self._mirrored, self._shown, self._signed)
        if self._mint is not None:
            await self._mint.finish()


async def _rightly_named(store: FsckStore, log: Log, mirrored: bool, found: Findings) -> Log:
    """The log with its right name and kind: the bundles tell whether it has items."""
    log, name = replace(await store.log(log.id), origin=log.origin), short_name(log.origin)
    if log.name != name:
        fix = repairs.rename_log(log.id, log.origin, name)
        found("log", log.id, f"name: {log.name!r} where {name!r} belongs", fix)
    with_items, bundles = await store.bundles_with_items(log.id)
    kind: LogKind = log.kind if not bundles else "register" if 2 * with_items > bundles else "opaque"
    salted = log.salted and not mirrored and kind == "register"
    if log.kind != kind:
        fix = repairs.set_log_kind(log.id, kind, salted=salted)
        found("log", log.id, f"kind: {log.kind!r}, and its bundles are of kind {kind!r}", fix)
    if log.salted != salted:
        fix = repairs.set_log_kind(log.id, kind, salted=salted)
        found("log", log.id, "salted: only a mint's register can be", fix)
    return replace(log, name=name, kind=kind, salted=salted)


async def _size(store: FsckStore, log: Log, notes: Notes) -> int:
    """The number of entries: by a vote of the rows, where signed ones count twice; at least what a head shows."""
    votes = Counter(await store.ends(log.id, mirrored=notes.mirrored))
    votes += Counter([notes.durable] if notes.durable is not None else [0])
    signed = [root for root in notes.roots if root.signed]
    for root in signed:
        if votes[root.size]:
            votes[root.size] += 1
    size = max(votes, key=lambda end: (votes[end], end))
    return max(size, 0, *(root.size for root in signed if root.table != "progress"))


async def _edge(store: FsckStore, log: Log, start: int) -> Edge:
    tiles = await store.tiles("tile", log.id, tile.edge_keys(start)) if start else {}
    try:
        return Edge.load(start, {key: stored.hashes for key, stored in tiles.items()})
    except Malformed as error:
        raise MintmarkError(f"{log.origin}: {error}; run fsck without --since") from error
