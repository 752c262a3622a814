"""A bit that flips in the mint's memory between join and commit: nothing is signed, the log goes on (incident 1)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import ProofError, Unavailable
from mintmark.mint import sequencer
from mintmark.mint.append_request import joined_request
from mintmark.mint.commit import MintState, admit_all, build_commit
from mintmark.store.log.model import Head, Log
from mintmark.tlog import bundle
from mintmark.tlog.bundle import digest
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import generate_skey
from tests.mint.conftest import THINGS, put
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.mint.commit import AdmittedBatch
    from mintmark.rpc.client import RpcClient
    from tests.mint.conftest import Site

LOG = Log(1, THINGS, "things", "opaque")
SIGNERS = [generate_skey(THINGS)]


def draft(state: MintState, count: int) -> AdmittedBatch:
    entries = bundle.join([b"entry %d" % number for number in range(count)])
    request = joined_request(secrets.token_bytes(16), entries, b"", digest(entries, b""), erase=False, legacy=False)
    return admit_all(state, [request], "2024-01-01T00:00:00Z")


def state(size: int) -> MintState:
    """The state of a log of `size` entries."""
    empty = MintState(Head(0, EMPTY_ROOT, b""), Edge(), None, None)
    return build_commit(LOG, draft(empty, size), {}, SIGNERS)[0]


def in_entries(made: AdmittedBatch, at: int) -> AdmittedBatch:
    batch = made.admitted[0]
    return replace(made, admitted=(batch._replace(entries=flip(batch.entries, at % len(batch.entries))),))


def in_hashes(made: AdmittedBatch, at: int) -> AdmittedBatch:
    batch = made.admitted[0]
    return replace(made, admitted=(batch._replace(hashes=flip(batch.hashes, at % len(batch.hashes))),))


def in_edge(made: AdmittedBatch, at: int) -> AdmittedBatch:
    edge = made.before.edge
    level = at % len(edge.tiles)
    tiles = list(edge.tiles)
    tiles[level] = flip(tiles[level], at % len(tiles[level])) if tiles[level] else tiles[level]
    return replace(made, before=replace(made.before, edge=replace(edge, tiles=tuple(tiles))))


def in_tail(made: AdmittedBatch, at: int) -> AdmittedBatch:
    tail = made.before.tail
    assert tail is not None
    return replace(
        made, before=replace(made.before, tail=replace(tail, entries=flip(tail.entries, at % len(tail.entries))))
    )


def in_head(made: AdmittedBatch, at: int) -> AdmittedBatch:
    head = made.before.head
    return replace(made, before=replace(made.before, head=replace(head, root=flip(head.root, at % 32))))


@pytest.mark.parametrize("size", [3, 700])
@pytest.mark.parametrize("where", [in_entries, in_hashes, in_edge, in_tail, in_head], ids=lambda where: where.__name__)
def test_no_flipped_bit_is_signed(where: Callable[[AdmittedBatch, int], AdmittedBatch], size: int) -> None:
    before = state(size)
    for count in (1, 300):
        made = draft(before, count)
        for at in range(0, 4000, 397):
            bent = where(made, at)
            if bent == made:
                continue
            with pytest.raises((ProofError, ValueError, LookupError)):
                build_commit(LOG, bent, {}, SIGNERS)


async def test_a_flipped_bit_is_sent_again_by_the_client_and_the_log_goes_on(
    site: Site, mint: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(mint, [b"one"])
    faults = [in_entries, in_hashes, in_edge, in_tail, in_head]

    def faulty(log: Log, made: AdmittedBatch, *rest: Any) -> Any:
        return build_commit(log, faults.pop()(made, 0) if faults else made, *rest)

    monkeypatch.setattr(sequencer, "integrate", faulty)
    id = secrets.token_bytes(16)
    while faults:
        with pytest.raises(Unavailable, match="nothing was signed; send it again, with the same"):
            await put(mint, [b"two"], id)
        assert await site.check(THINGS) == 1
    assert (await put(mint, [b"two"], id)).first == 1
    assert await site.check(THINGS) == 2
