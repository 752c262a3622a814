"""Trust in one log: what comes in is proven or refused, and a refusal changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.errors import BadSignature, Fork, Malformed, ProofError, Rollback, Untrusted
from mintmark.tlog import bundle, prove
from mintmark.tlog.checkpoint import Checkpoint, sign_checkpoint
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import EMPTY_ROOT, TILE_WIDTH
from mintmark.tlog.merkle import next_chunk
from mintmark.tlog.note import generate_skey, parse_vkey
from mintmark.tlog.trust import Bundle, Chunk, LogVerifier, VerifiedChunk
from tests.support.tree import Tree, big, entries
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGIN = "log.example/a"
SIGNER = generate_skey(ORIGIN)
KEYS = [parse_vkey(SIGNER.vkey)]
SIZE = 1500
TREE = Tree(entries(SIZE), [b"item %d" % i for i in range(SIZE)])
OTHER = Tree([*entries(SIZE)[:700], *[b"other %d" % i for i in range(SIZE)]])


def signed(size: int, tree: Tree = TREE) -> Checkpoint:
    return sign_checkpoint(ORIGIN, size, tree.root(size), [SIGNER])


def consistency(old_size: int, size: int, tree: Tree = TREE) -> list[bytes]:
    return tree.prove(prove.consistency_spans(old_size, size))


def trusting(size: int | None, at: int = 0, tree: Tree = TREE) -> LogVerifier:
    """A verifier whose head is `size` and whose edge is `at`."""
    head = None if size is None else signed(size, tree)
    return LogVerifier(ORIGIN, KEYS, head, Edge().extend(tree.hashes[: 32 * at])[0])


def refused(error: type[Exception], trusted: LogVerifier, attempt: Callable[[], object], *notes: bytes) -> None:
    """It raises just that, with these notes as evidence, and leaves everything as it was."""
    before = trusted.head, trusted.edge
    with pytest.raises(error) as refusal:
        attempt()
    assert type(refusal.value) is error
    assert (trusted.head, trusted.edge) == before
    if notes:
        assert refusal.value.notes == notes  # type: ignore[attr-defined]


def test_the_first_head_is_taken_on_its_signature() -> None:
    for size in (0, 1, 256, SIZE):
        trusted = trusting(None)
        assert trusted.accept(signed(size).note, []) == trusted.head == signed(size)


@pytest.mark.parametrize(("old_size", "size"), [(0, 0), (0, 5), (5, 5), (1, 2), (4, 7), (255, 256), (256, SIZE)])
def test_a_head_that_follows(old_size: int, size: int) -> None:
    trusted = trusting(old_size)
    trusted.accept(signed(size).note, consistency(old_size, size))
    assert trusted.head == signed(size)


def test_the_same_tree_signed_afresh() -> None:
    other = generate_skey(ORIGIN)
    trusted = LogVerifier(ORIGIN, [*KEYS, parse_vkey(other.vkey)], signed(5), Edge())
    fresh = sign_checkpoint(ORIGIN, 5, TREE.root(5), [SIGNER, other])
    assert trusted.accept(fresh.note, []) == fresh


def test_a_smaller_tree_is_a_rollback() -> None:
    for size in (0, 1, 255):
        trusted = trusting(256)
        refused(Rollback, trusted, lambda: trusted.accept(signed(size).note, []), signed(256).note, signed(size).note)  # noqa: B023


def test_another_tree_of_the_same_size_is_a_fork() -> None:
    trusted, fork = trusting(1000), signed(1000, OTHER)
    refused(Fork, trusted, lambda: trusted.accept(fork.note, []), signed(1000).note, fork.note)


def test_a_tree_that_did_not_grow_from_the_one_before_is_a_fork() -> None:
    trusted, fork = trusting(1000), signed(1200, OTHER)
    honest = consistency(1000, 1200, OTHER)
    for proof in (honest, [], honest[:-1], [*honest, bytes(32)], consistency(1000, 1200), [b"", *honest[1:]]):
        refused(Fork, trusted, lambda: trusted.accept(fork.note, proof), signed(1000).note, fork.note)  # noqa: B023


def test_a_proof_where_there_is_nothing_to_prove() -> None:
    for old_size, size in ((None, 5), (0, 5), (5, 5)):
        trusted = trusting(old_size)
        refused(ProofError, trusted, lambda: trusted.accept(signed(size).note, [bytes(32)]), signed(size).note)  # noqa: B023


def test_a_head_that_is_not_the_log_s() -> None:
    trusted = trusting(5)
    stranger = sign_checkpoint(ORIGIN, 7, TREE.root(7), [generate_skey(ORIGIN)]).note
    refused(BadSignature, trusted, lambda: trusted.accept(stranger, consistency(5, 7)), stranger)
    elsewhere = sign_checkpoint("log.example/b", 7, TREE.root(7), [SIGNER]).note
    refused(Malformed, trusted, lambda: trusted.accept(elsewhere, consistency(5, 7)))
    refused(Malformed, trusted, lambda: trusted.accept(b"", []))


def test_another_root_of_the_empty_tree() -> None:
    trusted, lie = trusting(None), sign_checkpoint(ORIGIN, 0, bytes(32), [SIGNER]).note
    refused(ProofError, trusted, lambda: trusted.accept(lie, []), lie)


def follow(trusted: LogVerifier, size: int, most: int = 2 * TILE_WIDTH) -> list[VerifiedChunk]:
    chunks = []
    while (at := trusted.edge.size) < size:
        start = at - at % TILE_WIDTH
        chunks.append(trusted.chunk(TREE.chunk(start, next_chunk(start, size, most), size)))
    return chunks


@pytest.mark.parametrize("at", [0, 1, 255, 256, 257, 600, 1499])
def test_chunks_lead_to_the_head(at: int) -> None:
    trusted = trusting(SIZE, at)
    chunks = follow(trusted, SIZE)
    assert trusted.edge == TREE.edge
    assert [chunk.start for chunk in chunks] == [at, *[chunk.end for chunk in chunks[:-1]]]
    assert b"".join(chunk.hashes for chunk in chunks) == TREE.hashes[32 * at :]
    rows = {row.index: row for chunk in chunks for row in chunk.bundles}
    assert list(rows.values()) == TREE.bundles(at, SIZE)
    tiles = {key: hashes for chunk in chunks for key, hashes in chunk.tiles.items()}
    assert all(TREE.tiles[key] == hashes for key, hashes in tiles.items())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, SIZE), min_size=1, max_size=5).map(sorted), st.sampled_from([256, 512, 4096]))
def test_a_log_that_grows_while_it_is_followed(sizes: list[int], most: int) -> None:
    trusted, before = trusting(None), 0
    for size in sizes:
        trusted.accept(signed(size).note, consistency(before, size) if before else [])
        follow(trusted, size, most)
        assert trusted.edge.root() == TREE.root(size)
        before = size


def test_nothing_comes_before_a_head_or_after_it() -> None:
    trusted = trusting(None)
    refused(ProofError, trusted, lambda: trusted.chunk(TREE.chunk(0, 256, SIZE)))
    done = trusting(SIZE, SIZE)
    refused(ProofError, done, lambda: done.chunk(TREE.chunk(1280, SIZE, SIZE)), signed(SIZE).note)


def all_of(rows: list[Bundle]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    return tuple(row.entries for row in rows), tuple(row.items for row in rows)


def lies() -> list[Any]:
    """What a source can send instead of entries [512, 1024) of 1500; the edge stands at 600."""
    honest = TREE.chunk(512, 1024, SIZE)
    first, second = honest.entries
    cut = bundle.cut(second)
    swapped = bundle.join([cut[1], cut[0], *cut[2:]])
    return [
        ("a bit of an entry", replace(honest, entries=(first, flip(second, 5))), ProofError),
        ("a bit of an entry that we have", replace(honest, entries=(flip(first, 5), second)), ProofError),
        ("a bit of the proof", replace(honest, proof=(flip(honest.proof[0], 0), *honest.proof[1:])), ProofError),
        ("no proof", replace(honest, proof=()), ProofError),
        ("a longer proof", replace(honest, proof=(*honest.proof, bytes(32))), ProofError),
        ("short hashes in the proof", replace(honest, proof=tuple(each[:31] for each in honest.proof)), ProofError),
        ("two entries changed places", replace(honest, entries=(first, swapped)), ProofError),
        ("two bundles changed places", replace(honest, entries=(second, first)), ProofError),
        ("another log's entries", replace(OTHER.chunk(512, 1024, SIZE), items=honest.items), ProofError),
        ("the chunk before", TREE.chunk(0, 512, SIZE), ProofError),
        ("the chunk after", TREE.chunk(1024, 1280, SIZE), ProofError),
        ("not from the bundle on", TREE.chunk(768, 1024, SIZE), ProofError),
        ("only what we have", TREE.chunk(512, 576, SIZE), ProofError),
        ("backwards", Chunk(512, 0, (), (), ()), ProofError),
        ("beyond the head", Chunk(512, 2048, honest.entries * 3, (), honest.proof), ProofError),
        ("no subtree", Chunk(512, SIZE, *all_of(TREE.bundles(512, SIZE)), ()), ProofError),
        ("a bundle too few", replace(honest, entries=(first,)), Malformed),
        ("a bundle too many", replace(honest, entries=(first, second, second)), Malformed),
        ("an entry too few", replace(honest, entries=(first, bundle.join(cut[:-1]))), Malformed),
        ("an entry too many", replace(honest, entries=(first, bundle.join([*cut, b""]))), Malformed),
        ("truncated", replace(honest, entries=(first, second[:-1])), Malformed),
        ("items too few", replace(honest, items=honest.items[:1]), Malformed),
        ("an item too few", replace(honest, items=(honest.items[0], bundle.take(honest.items[1], 255))), Malformed),
        ("truncated items", replace(honest, items=(honest.items[0], honest.items[1][:-1])), Malformed),
    ]  # fmt: skip


@pytest.mark.parametrize(("chunk", "error"), [pytest.param(*lie[1:], id=lie[0]) for lie in lies()])
def test_chunks_that_lie(chunk: Chunk, error: type[Exception]) -> None:
    trusted = trusting(SIZE, 600)
    refused(error, trusted, lambda: trusted.chunk(chunk), *([signed(SIZE).note] if error is ProofError else []))
    trusted.chunk(TREE.chunk(512, 1024, SIZE))  # the next answer may be honest


def test_an_opaque_log_has_no_items() -> None:
    trusted = trusting(SIZE)
    chunk = trusted.chunk(replace(TREE.chunk(0, 256, SIZE), items=()))
    assert chunk.bundles[0].items == b""


def test_what_we_have_must_be_of_the_head_s_tree() -> None:
    edge = Edge().extend(TREE.hashes[: 32 * 800])[0]
    forked = Edge().extend(OTHER.hashes[: 32 * 800])[0]
    LogVerifier(ORIGIN, KEYS, signed(800), edge)
    LogVerifier(ORIGIN, KEYS, None, Edge())
    for head, wrong in ((signed(799), edge), (signed(800), forked), (None, edge)):
        with pytest.raises(ProofError):
            LogVerifier(ORIGIN, KEYS, head, wrong)


def test_an_edge_of_another_tree_gets_no_further() -> None:
    """The chunk is honest; what we have is not, and no chunk can take us from it to the head."""
    trusted = LogVerifier(ORIGIN, KEYS, signed(SIZE), Edge().extend(OTHER.hashes[: 32 * 768])[0])
    with pytest.raises(Untrusted):
        follow(trusted, SIZE)


def test_the_entries_that_come_again_must_be_those_that_we_have() -> None:
    """The first part of a bundle that we hold: an honest chunk does not hide that ours is another."""
    trusted = LogVerifier(ORIGIN, KEYS, signed(SIZE), Edge().extend(OTHER.hashes[: 32 * 800])[0])
    honest = TREE.chunk(768, 1024, SIZE)
    refused(ProofError, trusted, lambda: trusted.chunk(honest), signed(SIZE).note)
    with pytest.raises(ProofError, match="does not begin with the 32 entries verified before"):
        trusted.chunk(honest)


def test_only_here_is_a_verified_chunk_made() -> None:
    with pytest.raises(TypeError, match=r"only LogVerifier\.chunk"):
        VerifiedChunk(0, 1, (), bytes(32), {}, Edge(), object())
    verified = trusting(SIZE).chunk(TREE.chunk(0, 256, SIZE))
    with pytest.raises((TypeError, ValueError)):
        replace(verified, end=1)


def test_three_levels_of_tiles() -> None:
    tree, head = big(), sign_checkpoint(ORIGIN, 70_000, big().root(70_000), [SIGNER])
    trusted = LogVerifier(ORIGIN, KEYS, head, Edge())
    while (at := trusted.edge.size) < 70_000:
        trusted.chunk(tree.chunk(at, next_chunk(at, 70_000, 16 * TILE_WIDTH), 70_000))
    assert trusted.edge == tree.edge
    assert EMPTY_ROOT != trusted.edge.root() == head.root
