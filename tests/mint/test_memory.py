"""A bit that flips in the mint's memory between join and commit: nothing is signed, the log goes on (incident 1)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import ProofError, Unavailable
from mintmark.mint import sequencer
from mintmark.mint.request import joined_request
from mintmark.mint.state import State, admit_all, integrate
from mintmark.store.model import Head, Log
from mintmark.tlog import bundle
from mintmark.tlog.bundle import digest
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import generate_skey
from tests.mint.conftest import THINGS, put
from tests.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.mint.state import Draft
    from mintmark.rpc.client import Client
    from tests.mint.conftest import Site

LOG = Log(1, THINGS, "things", "opaque")
SIGNERS = [generate_skey(THINGS)]


def draft(state: State, count: int) -> Draft:
    entries = bundle.join([b"entry %d" % number for number in range(count)])
    request = joined_request(secrets.token_bytes(16), entries, b"", digest(entries, b""), erase=False, legacy=False)
    return admit_all(state, [request], "2024-01-01T00:00:00Z")


def state(size: int) -> State:
    """The state of a log of `size` entries."""
    empty = State(Head(0, EMPTY_ROOT, b""), Edge(), None, None)
    return integrate(LOG, draft(empty, size), {}, SIGNERS)[0]


def in_entries(made: Draft, at: int) -> Draft:
    batch = made.admitted[0]
    return replace(made, admitted=(batch._replace(entries=flip(batch.entries, at % len(batch.entries))),))


def in_hashes(made: Draft, at: int) -> Draft:
    batch = made.admitted[0]
    return replace(made, admitted=(batch._replace(hashes=flip(batch.hashes, at % len(batch.hashes))),))


def in_edge(made: Draft, at: int) -> Draft:
    edge = made.before.edge
    level = at % len(edge.tiles)
    tiles = list(edge.tiles)
    tiles[level] = flip(tiles[level], at % len(tiles[level])) if tiles[level] else tiles[level]
    return replace(made, before=replace(made.before, edge=replace(edge, tiles=tuple(tiles))))


def in_tail(made: Draft, at: int) -> Draft:
    tail = made.before.tail
    assert tail is not None
    return replace(
        made, before=replace(made.before, tail=replace(tail, entries=flip(tail.entries, at % len(tail.entries))))
    )


def in_head(made: Draft, at: int) -> Draft:
    head = made.before.head
    return replace(made, before=replace(made.before, head=replace(head, root=flip(head.root, at % 32))))


@pytest.mark.parametrize("size", [3, 700])
@pytest.mark.parametrize("where", [in_entries, in_hashes, in_edge, in_tail, in_head], ids=lambda where: where.__name__)
def test_no_flipped_bit_is_signed(where: Callable[[Draft, int], Draft], size: int) -> None:
    before = state(size)
    for count in (1, 300):
        made = draft(before, count)
        for at in range(0, 4000, 397):
            bent = where(made, at)
            if bent == made:
                continue
            with pytest.raises((ProofError, ValueError, LookupError)):
                integrate(LOG, bent, {}, SIGNERS)


async def test_a_flipped_bit_is_sent_again_by_the_client_and_the_log_goes_on(
    site: Site, mint: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(mint, [b"one"])
    faults = [in_entries, in_hashes, in_edge, in_tail, in_head]

    def faulty(log: Log, made: Draft, *rest: Any) -> Any:
        return integrate(log, faults.pop()(made, 0) if faults else made, *rest)

    monkeypatch.setattr(sequencer, "integrate", faulty)
    id = secrets.token_bytes(16)
    while faults:
        with pytest.raises(Unavailable, match="nothing was signed; send it again, with the same"):
            await put(mint, [b"two"], id)
        assert await site.check(THINGS) == 1
    assert (await put(mint, [b"two"], id)).first == 1
    assert await site.check(THINGS) == 2
