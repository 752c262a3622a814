"""A head beside the tree that was verified here: the log signed both, so the smaller must be a beginning of the larger.

A larger head comes with its proof from the source (`LogVerifier.accept`); a smaller one is compared here, with our own
tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Fork, Malformed, Misconfigured
from mintmark.tlog import prove

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.mirror.shown_heads import ShownLog
    from mintmark.store.mirror.model import Progress
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint


async def find_forks(store: ReadStore, progress: Progress, heads: Iterable[ShownLog]) -> list[tuple[str, Fork]]:
    """Compares heads that are new with our copy, as far as it goes; those that do not fit, by who showed them."""
    found = []
    for shown in heads:
        if shown.head is not None and not shown.compared and shown.head.size <= progress.size:
            try:
                await check_known(store, progress, shown.head)
            except Fork as lie:
                found.append((shown.address, lie))
            shown.compared = True
    return found


async def check_known(store: ReadStore, progress: Progress, seen: Checkpoint) -> None:
    """Checks a head of at most `progress.size` entries.

    Raises:
        Fork: our tree had another root at that size. Carries both notes.
        Misconfigured: our own copy is damaged.
    """
    if seen.size == 0 or (seen.size == progress.shown and seen.root == progress.root):
        return
    if await _root(store, progress, seen.size) != seen.root:
        known = await store.evidence.note_at(progress.id, seen.size) or progress.note or b""
        raise Fork(
            f"{seen.origin} signed another tree of {seen.size} entries than the one that was verified", known, seen.note
        )


async def _root(store: ReadStore, progress: Progress, size: int) -> bytes:
    spans = [(0, size)]
    try:
        return prove.prove(spans, await store.tiles(progress.id, prove.needed(spans)))[0]
    except Malformed as damage:
        raise Misconfigured(f"our copy of {progress.origin} is damaged: {damage}; run mintmark fsck") from None
