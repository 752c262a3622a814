"""A bit that flips in the mint's memory before the commit, and a defect of the mint: the log goes on (incident 1)."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from mintmark.errors import MintmarkError, Unavailable, WriteMismatch
from mintmark.mint import commit as commits
from mintmark.mint import sequencer, validation
from mintmark.mint.commit import MintState, admit_all, build_commit
from mintmark.mint.validation import AdmittedBatch, make_request
from mintmark.register.rules import Rules
from mintmark.store.log.model import Head, Log
from mintmark.tlog import bundle
from mintmark.tlog.bundle import digest
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import generate_skey
from tests.support.mint_site import LIGHTHOUSE, THINGS, put
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.client.mint_client import MintClient
    from tests.support.mint_site import Site

LOG = Log(1, THINGS, "things", "opaque")
SIGNERS = [generate_skey(THINGS)]


@dataclass(frozen=True)
class Admitted:
    """A state, and a batch to follow it."""

    before: MintState
    batch: AdmittedBatch


def admitted(state: MintState, count: int) -> Admitted:
    entries = bundle.join([b"entry %d" % number for number in range(count)])
    request = make_request(secrets.token_bytes(16), entries, b"", digest(entries, b""), may_erase=False, legacy=False)
    (batch,), _ = admit_all(state, [request], "2024-01-01T00:00:00Z")
    return Admitted(state, batch)


def state(size: int) -> MintState:
    """The state of a log of `size` entries."""
    empty = MintState(Head(0, EMPTY_ROOT, b""), Edge(), None, None)
    return build_commit(LOG, empty, [admitted(empty, size).batch], {}, SIGNERS)[0]


def in_entries(made: Admitted, at: int) -> Admitted:
    joined = made.batch.joined
    bent = joined._replace(entries=flip(joined.entries, at % len(joined.entries)))
    return replace(made, batch=replace(made.batch, joined=bent))


def in_hashes(made: Admitted, at: int) -> Admitted:
    joined = made.batch.joined
    bent = joined._replace(hashes=flip(joined.hashes, at % len(joined.hashes)))
    return replace(made, batch=replace(made.batch, joined=bent))


def in_edge(made: Admitted, at: int) -> Admitted:
    edge = made.before.edge
    level = at % len(edge.tiles)
    tiles = list(edge.tiles)
    tiles[level] = flip(tiles[level], at % len(tiles[level])) if tiles[level] else tiles[level]
    return replace(made, before=replace(made.before, edge=replace(edge, tiles=tuple(tiles))))


def in_tail(made: Admitted, at: int) -> Admitted:
    tail = made.before.tail
    assert tail is not None
    bent = replace(tail, entries=flip(tail.entries, at % len(tail.entries)))
    return replace(made, before=replace(made.before, tail=bent))


def in_head(made: Admitted, at: int) -> Admitted:
    head = made.before.head
    return replace(made, before=replace(made.before, head=replace(head, root=flip(head.root, at % 32))))


FAULTS = [in_entries, in_hashes, in_edge, in_tail, in_head]


@pytest.mark.parametrize("size", [3, 700])
@pytest.mark.parametrize("where", FAULTS, ids=lambda where: where.__name__)
def test_no_flipped_bit_is_signed(where: Callable[[Admitted, int], Admitted], size: int) -> None:
    before = state(size)
    for count in (1, 300):
        made = admitted(before, count)
        for at in range(0, 4000, 397):
            bent = where(made, at)
            if bent == made:
                continue
            with pytest.raises(WriteMismatch):
                build_commit(LOG, bent.before, [bent.batch], {}, SIGNERS)


async def test_a_flipped_bit_is_sent_again_by_the_client_and_the_log_goes_on(
    site: Site, mint: MintClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(mint, [b"one"])
    faults = list(FAULTS)

    def faulty(log: Log, before: MintState, batches: list[AdmittedBatch], *rest: Any) -> Any:
        made = Admitted(before, batches[0])
        bent = faults.pop()(made, 0) if faults else made
        return build_commit(log, bent.before, [bent.batch], *rest)

    monkeypatch.setattr(sequencer, "build_commit", faulty)
    id = secrets.token_bytes(16)
    while faults:
        with pytest.raises(Unavailable, match="nothing was signed; send it again, with the same"):
            await put(mint, [b"two"], id)
        assert await site.check(THINGS) == 1
    assert (await put(mint, [b"two"], id)).first == 1
    assert await site.check(THINGS) == 2


# Where our own code may fail: before a batch is admitted, after it, and in what is stored of it.
DEFECTS = {
    "admission of one batch": (validation, "_admit_opaque"),
    "admission": (sequencer, "admit_all"),
    "erasures": (sequencer, "repeated_erasures"),
    "rows": (commits, "_rows"),
    "commit": (sequencer, "build_commit"),
}


@pytest.mark.parametrize("error", [KeyError("a defect"), ValueError("a defect"), IndexError("a defect")])
@pytest.mark.parametrize("defect", DEFECTS)
async def test_a_defect_is_logged_with_its_traceback_and_the_log_goes_on(
    site: Site,
    mint: MintClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    defect: str,
    error: Exception,
) -> None:
    await put(mint, [b"one"])
    where, name = DEFECTS[defect]

    def fail(*_: object) -> None:
        raise error

    id = secrets.token_bytes(16)
    with monkeypatch.context() as patch:
        patch.setattr(where, name, fail)
        with pytest.raises(MintmarkError, match="internal error; the mint's log has it") as refused:
            await put(mint, [b"two"], id)
    assert type(refused.value) is MintmarkError
    cause = refused.value.__cause__
    assert isinstance(cause, grpc.aio.AioRpcError)
    assert cause.code() is grpc.StatusCode.INTERNAL
    printed = "".join(capsys.readouterr())
    assert "defect" in printed
    assert "Traceback (most recent call last)" in printed
    assert f"{type(error).__name__}: " in printed
    assert "memory fault" not in printed
    assert await site.check(THINGS) == 1
    assert (await put(mint, [b"two"], id)).first == 1
    assert await site.check(THINGS) == 2


async def test_a_defect_in_one_batch_is_no_other_batchs(
    site: Site, mint: MintClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = commits.admit

    def fail(request: Any, *rest: Any) -> AdmittedBatch:
        if b"poison" in request.content.entries:
            raise KeyError("a defect")
        return admit(request, *rest)

    monkeypatch.setattr(commits, "admit", fail)
    sends = [put(mint, [b"%d" % number]) for number in range(20)]
    sends.insert(7, put(mint, [b"poison"]))
    answers = await asyncio.gather(*sends, return_exceptions=True)
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [7]
    assert type(answers[7]) is MintmarkError
    assert await site.check(THINGS) == 20


def test_items_that_are_not_parallel_to_their_entries_are_never_signed() -> None:
    """A length that flips makes of many items one: the entries, and so the root, are as they were."""
    log = Log(1, LIGHTHOUSE, "lighthouse", "register")
    empty = MintState(Head(0, EMPTY_ROOT, b""), Edge(), None, Rules.load({}, {}))
    made = admitted(MintState(Head(0, EMPTY_ROOT, b""), Edge(), None, None), 300)
    batch = replace(made.batch, rules=empty.rules)
    for items in (bundle.join([b"item"] * 300)[:-6], bundle.join([b"item"] * 200), b""):
        bent = replace(batch, joined=batch.joined._replace(items=items))
        with pytest.raises(WriteMismatch):
            build_commit(log, empty, [bent], {}, SIGNERS)
