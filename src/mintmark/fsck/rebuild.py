"""The projection of a log, made again from its bundles, byte for byte as a mirror wrote it.

One transaction deletes the rows and writes new ones; readers read the old ones meanwhile. Of an opaque log the right
rows stay, for each stands alone. Bundles are checked against the signed roots as they are read; where one is damaged,
nothing is written.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, MintmarkError, ProofError
from mintmark.fsck.check import open_tree
from mintmark.fsck.damaged_notes import Opener
from mintmark.fsck.findings import Findings
from mintmark.fsck.notes import Notes
from mintmark.register.kernel import open_rows
from mintmark.register.reduce import RunningCounts, project
from mintmark.store.fsck.transactions import rebuilding
from mintmark.tlog.kernel import TILE_WIDTH, leaf_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.fsck.tree import LeafRun
    from mintmark.register.entry import Row
    from mintmark.store.connection.pool import Pool
    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.log.model import Log
    from mintmark.tlog.note import Verifier


REPAIR_HINT = "mend it first: mintmark fsck --repair-from SOURCE"


async def rebuild(
    pool: Pool, log: Log, verifiers: Sequence[Verifier], step: Callable[[int], None] = lambda entries: None
) -> int:
    """Writes the rows of a log in a read database again; returns its number of entries.

    Takes three connections of the pool. `step` is called with each number of further entries that are done.

    Raises MintmarkError where a bundle or a tile is damaged; Unavailable. Then nothing was written.
    """
    async with rebuilding(pool, log.id) as (store, reader):
        return await rebuild_rows(store, reader, log, verifiers, step)


async def rebuild_rows(
    store: FsckStore, reader: FsckStore, log: Log, verifiers: Sequence[Verifier],
    step: Callable[[int], None] = lambda entries: None,
) -> int:  # fmt: skip
    """As `rebuild`, within a transaction of the caller; `reader` reads the bundles and tiles."""
    found, counts = Findings(log.origin), RunningCounts()
    notes = Notes(log, Opener(log.origin, verifiers, tries=0), found, mirrored=True)
    await notes.read(reader, ())
    tree = await open_tree(reader, log, notes, found)
    await store.clear_rows(log.id, tree.size if log.kind == "opaque" else 0)
    async with aclosing(tree.walk()) as reads:
        async for read in reads:
            if found.damages:
                break
            if log.kind == "register":
                rows = project(counts.v1, _opened(log, read))
                counts = RunningCounts(await store.put_rows(log.id, rows, counts.live), rows.v1)
            elif await reader.leaves(log.id, read.start, read.end) != read.hashes:
                await store.put_leaves(log.id, read.start, read.hashes)
            step(read.end - read.start)
    if found.damages:
        raise MintmarkError(f"{found.damages[0]}; {REPAIR_HINT}")
    return tree.size


def _opened(log: Log, read: LeafRun) -> list[Row]:
    try:
        return [
            row
            for part in read.sound
            for row in open_rows(part.index * TILE_WIDTH, 0, leaf_hashes(part.entries), part.entries, part.items)
        ]
    except (ProofError, Malformed) as error:
        raise MintmarkError(f"{log.origin}: {error}; {REPAIR_HINT}") from error
