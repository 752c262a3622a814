"""Items that a source withheld: asked of the others, each proven by its entry, and who withheld one is found out.

An item that is not there was erased, or is withheld, and nobody can tell before the signed head is reached. There, if
no entry erases it, it keeps the head back. Whoever has it then heals the log, and proves that the source that sent the
entry without it could have sent it.
"""

from __future__ import annotations

from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Busy, Malformed, NotAvailableYet, NotFound, ProofError, Unavailable, Untrusted
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.kernel import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from mintmark.sources.source import Source
    from mintmark.store.mirror.model import Progress
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.store.mirror.withheld import WithheldItem
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier


def keeps_head_back(progress: Progress) -> bool:
    """True if all of the signed head is verified and it is not shown: items are withheld."""
    return progress.shown < progress.size == progress.pending


class Search(NamedTuple):
    """What came of it: who had items, the first that nobody had, and the sources that lied, with their lies."""

    giver: str
    lacking: WithheldItem | None
    lies: list[tuple[str, Untrusted | Malformed]]


async def search(
    store: ReadStore,
    progress: Progress,
    verifiers: Sequence[Verifier],
    able: Sequence[tuple[Source, Checkpoint]],
    sources: Mapping[str, Source],
) -> Search:
    """Asks those who are `able`, each with its head, for the items that are waited for, and writes what they have.

    Of the trusted `sources`, those that sent entries without the items are asked again, and lied if these still lack.
    """
    giver, lies = "", dict[str, Untrusted | Malformed]()
    for source, head in able:
        had: list[WithheldItem] = []
        try:
            await _fetch(store, progress, source, head.size, had)
        except (Untrusted, Malformed) as lie:
            lies[source.address] = lie
        except (NotFound, NotAvailableYet, Unavailable, Busy):
            pass
        giver = source.address if had else giver
        for sender, item in {item.source: item for item in reversed(had)}.items():
            suspect = sources.get(sender or "")
            if suspect is None or suspect.address in (source.address, *lies):
                continue
            if (found := await _accuse(suspect, progress, verifiers, item, source.address)) is not None:
                lies[suspect.address] = found
    return Search(giver, await store.withheld.first(progress.id), list(lies.items()))


async def _fetch(store: ReadStore, progress: Progress, source: Source, size: int, had: list[WithheldItem]) -> None:
    """Asks a source with a head of `size` entries for the items that are waited for, and writes those that it has.

    They are added to `had`. Raises Malformed or ProofError for one that is not its entry's, and as `Source` does.
    """
    after = -1
    while wanted := [item for item in await store.withheld.page(progress.id, after) if item.index < size]:
        for start, end in _runs(wanted):
            by_index = {item.index: item for item in wanted if start <= item.index < end}
            async with aclosing(_receive(source, progress.origin, start, end, size)) as received:
                async for items in received:
                    found = {index: item for index, item in items.items() if item and index in by_index}
                    had += [by_index[index] for index in await _fill(store, progress, found)]
        after = wanted[-1].index


async def _fill(store: ReadStore, progress: Progress, found: Mapping[int, bytes]) -> list[int]:
    try:
        return await store.withheld.fill(progress.id, found) if found else []
    except ProofError as lie:
        raise ProofError(str(lie), progress.note or b"") from lie


async def _accuse(
    source: Source, progress: Progress, verifiers: Sequence[Verifier], item: WithheldItem, giver: str
) -> Untrusted | Malformed | None:
    """The lie of a source that sent an entry without its item, which another had; None where it clears itself."""
    try:
        note = await _note_without(source, progress, verifiers, item)
    except (Untrusted, Malformed) as lie:
        return lie
    except (NotFound, NotAvailableYet):
        return None
    except (Unavailable, Busy):  # it has nothing to say for itself
        note = progress.note
    if note is None:
        return None
    return ProofError(f"{item}: {giver} has it, and none of {progress.size} entries erases it", note)


async def _note_without(
    source: Source, progress: Progress, verifiers: Sequence[Verifier], item: WithheldItem
) -> bytes | None:
    """The note under which a source still sends the entry without the item; None where it does not.

    An entry that is not known here may have erased the item: then the source's head is a larger one, at the latest
    after it sent the entry.
    """
    size = open_checkpoint(await source.checkpoint(progress.origin), progress.origin, verifiers).size
    if not item.index < size <= progress.size:
        return None
    async with aclosing(_receive(source, progress.origin, item.index, item.index + 1, size)) as received:
        async for items in received:
            if items.get(item.index):
                return None
    note = await source.checkpoint(progress.origin)
    return note if open_checkpoint(note, progress.origin, verifiers).size <= progress.size else None


async def _receive(
    source: Source, origin: str, start: int, end: int, size: int
) -> AsyncGenerator[dict[int, bytes], None]:
    """The items of [start, end) by index, chunk by chunk, from the bundle that holds `start`; unproven."""
    at = start
    async with aclosing(source.entries(origin, start, end, size)) as chunks:  # type: ignore[type-var]  # a generator
        async for chunk in chunks:
            if chunk.start != at - at % TILE_WIDTH or not at < chunk.end <= end:
                raise ProofError(f"{source.address} sent [{chunk.start}, {chunk.end}) where entry {at} was asked for")
            firsts = range(chunk.start, chunk.end, TILE_WIDTH)
            yield {
                first + number: item
                for first, joined in zip(firsts, chunk.items, strict=False)
                for number, item in enumerate(bundle.cut(joined))
            }
            if (at := chunk.end) == end:
                return


def _runs(items: Sequence[WithheldItem]) -> Iterator[tuple[int, int]]:
    """Ranges of entries that hold these items, each of neighbouring bundles."""
    bundles = sorted({item.index // TILE_WIDTH for item in items})
    last = {item.index // TILE_WIDTH: item.index for item in items}
    for _, run in groupby(enumerate(bundles), lambda each: each[1] - each[0]):
        numbers = [number for _, number in run]
        yield numbers[0] * TILE_WIDTH, last[numbers[-1]] + 1
