"""Checks of proofs: the public probes, what is false about each of them, and sizes that no tree has."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import ProofError
from mintmark.tlog import merkle
from mintmark.tlog.kernel import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, TILE_WIDTH
from tests.support import reference, vectors
from tests.support.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Tree([bytes([i]) for i in range(131)])


def probes(kind: str) -> list[Any]:
    """The files of a kind; none where a clone lacks them."""
    files = sorted((vectors.ROOT / "merkle/testdata" / kind).rglob("*.json"))
    return [pytest.param(file, id=str(file.relative_to(vectors.ROOT / "merkle/testdata"))) for file in files]


def bytes_of(probe: dict[str, Any]) -> dict[str, Any]:
    """A probe whose base64 is decoded."""
    decoded = {
        key: base64.b64decode(value) for key, value in probe.items() if key in ("root", "root1", "root2", "leafHash")
    }
    return {**probe, **decoded, "proof": [base64.b64decode(each or "") for each in probe["proof"] or []]}


def judge(file: Path, check: Any) -> None:
    """Two things that pass elsewhere are refused here: roots that are no hashes, and the proof of an empty subtree."""
    probe = bytes_of(json.loads(file.read_text()))
    no_hashes = any(len(probe[name]) != HASH_BYTES for name in ("root", "root1", "root2", "leafHash") if name in probe)
    if probe["wantErr"] or no_hashes or probe.get("start", 0) == probe.get("end", 1):
        with pytest.raises(ProofError):
            check(probe)
    else:
        check(probe)


def test_there_are_518_probes() -> None:
    if not vectors.ROOT.is_dir():
        pytest.skip(f"the public test vectors are not at {vectors.ROOT}")
    kinds = ("inclusion", "consistency", "subtreeinclusion", "subtreeconsistency")
    assert [len(probes(kind)) for kind in kinds] == [98, 98, 204, 118]


@pytest.mark.parametrize("file", probes("inclusion"))
def test_inclusion(file: Path) -> None:
    judge(file, lambda p: merkle.check_inclusion(p["leafIdx"], p["treeSize"], p["leafHash"], p["proof"], p["root"]))


@pytest.mark.parametrize("file", probes("consistency"))
def test_consistency(file: Path) -> None:
    judge(file, lambda p: merkle.check_consistency(p["size1"], p["root1"], p["size2"], p["root2"], p["proof"]))


@pytest.mark.parametrize("file", probes("subtreeinclusion"))
def test_inclusion_in_a_subtree(file: Path) -> None:
    """An entry of [start, end) is entry `index - start` of a tree of its own."""

    def check(p: dict[str, Any]) -> None:
        if not merkle.valid_subtree(p["start"], p["end"]):
            raise ProofError("no subtree")
        merkle.check_inclusion(p["leafIdx"] - p["start"], p["end"] - p["start"], p["leafHash"], p["proof"], p["root"])

    judge(file, check)


@pytest.mark.parametrize("file", probes("subtreeconsistency"))
def test_consistency_of_a_subtree(file: Path) -> None:
    judge(file, lambda p: merkle.check_subtree(p["start"], p["end"], p["size"], p["root1"], p["root2"], p["proof"]))


def subtrees(most: int) -> list[tuple[int, int]]:
    """Every valid subtree up to `most`, by the draft's own rule, empty ones included."""
    return [(start, end) for end in range(most + 1) for start in range(end + 1) if reference.valid(start, end)]


def root(start: int, end: int) -> bytes:
    return SMALL.prove([(start, end)])[0] if start < end else EMPTY_ROOT


def accumulated(lines: list[str]) -> str:
    return sha256("".join(lines).encode()).hexdigest()


@vectors.needed
def test_the_subtrees_of_the_draft() -> None:
    want = vectors.load("mtc-draft/subtree_accumulated.json")["want"]
    hashes = [f"[{start}, {end}) {root(start, end).hex()}\n" for start, end in subtrees(130)]
    assert accumulated(hashes) == want["subtree_hashes"]
    inclusion = [
        f"{index} [{start}, {end})" + "".join(f" {root(start + a, start + b).hex()}" for a, b in spans) + "\n"
        for start, end in subtrees(130)
        for index in range(start, end)
        for spans in [merkle.proof_spans(index - start, index - start + 1, end - start)]
    ]
    assert accumulated(inclusion) == want["subtree_inclusion"]
    consistency = [
        f"[{start}, {end}) {size}" + "".join(f" {root(a, b).hex()}" for a, b in spans) + "\n"
        for size in range(131)
        for start, end in subtrees(size)
        for spans in [merkle.proof_spans(start, end, size) if start < end else []]
    ]
    assert accumulated(consistency) == want["subtree_consistency"]
    covering = [
        f"[{left[0]}, {left[1]}) [{right[0]}, {right[1]})\n"
        for end in range(131)
        for start in range(end + 1)
        for left, right in [merkle.covering(start, end)]
    ]
    assert accumulated(covering) == want["covering"]


def test_the_spans_of_the_recursion_for_every_subtree_of_every_tree_up_to_128() -> None:
    for size in range(1, 129):
        for start, end in subtrees(size):
            if start < end:
                proof = [root(*span) for span in merkle.proof_spans(start, end, size)]
                assert proof == reference.sub(start, end, SMALL.entries[:size])
                merkle.check_subtree(start, end, size, root(start, end), root(0, size), proof)


def test_one_bit_or_one_hash_makes_a_proof_false() -> None:
    for start, end, size in [(0, 5, 8), (3, 4, 7), (4, 6, 7), (0, 6, 8), (64, 96, 130), (0, 128, 130), (0, 7, 7)]:
        proof = [root(*span) for span in merkle.proof_spans(start, end, size)]
        subtree, whole = root(start, end), root(0, size)
        falsehoods = [
            (subtree, whole, [*proof, bytes(32)]),
            (subtree, whole, [bytes(32), *proof]),
            (bytes(32), whole, proof),
            (subtree, bytes(32), proof),
            (subtree + b"\0", whole, proof),
            *[(subtree, whole, [*proof[:i], bytes(32), *proof[i + 1 :]]) for i in range(len(proof))],
            *[(subtree, whole, [*proof[:i], *proof[i + 1 :]]) for i in range(len(proof))],
            *[(subtree, whole, [*proof[:i], proof[i] + b"\0", *proof[i + 1 :]]) for i in range(len(proof))],
        ]
        if start > 0 or end < size:
            falsehoods.append((whole, subtree, proof))
        merkle.check_subtree(start, end, size, subtree, whole, proof)
        for false in falsehoods:
            with pytest.raises(ProofError):
                merkle.check_subtree(start, end, size, *false)


@pytest.mark.parametrize(
    ("start", "end", "size"),
    [
        (0, 0, 0), (0, 0, 5), (5, 5, 5), (3, 2, 5), (-1, 1, 5), (0, 6, 5), (1, 3, 5), (2, 5, 8), (0, 1, 2**63),
        (2**63, 2**63 + 1, 2**64), (2**64 - 1, 2**64, 2**64), (0, 2**64 - 1, 2**64 - 1), (-(2**63), 0, 5),
    ],
)  # fmt: skip
def test_subtrees_that_no_tree_has(start: int, end: int, size: int) -> None:
    with pytest.raises(ProofError, match="no subtree"):
        merkle.check_subtree(start, end, size, bytes(32), bytes(32), [])


def test_a_hash_of_a_proof_has_its_length() -> None:
    proof = [root(*span) for span in merkle.proof_spans(0, 5, 8)]
    for other in (proof[0] + b"\0", proof[0][:-1], b""):
        with pytest.raises(ProofError, match="a hash in a proof is 32 bytes"):
            merkle.check_subtree(0, 5, 8, root(0, 5), root(0, 8), [other, *proof[1:]])


def test_hashes_of_no_length_are_not_equal() -> None:
    for seed, whole in [(b"", b""), (b"", bytes(32)), (bytes(31), bytes(31))]:
        with pytest.raises(ProofError, match="32 bytes"):
            merkle.check_inclusion(0, 1, seed, [], whole)


@given(st.integers(0, MAX_SIZE - 1), st.integers(1, MAX_SIZE))
def test_an_inclusion_proof_has_the_length_that_the_specification_says(index: int, size: int) -> None:
    index %= size
    inner = (index ^ (size - 1)).bit_length()
    assert len(merkle.proof_spans(index, index + 1, size)) == inner + (index >> inner).bit_count() <= 63


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**55), st.integers(TILE_WIDTH, 2**20))
def test_chunks_are_subtrees_that_cut_the_rest_of_a_log(size: int, bundle: int, most: int) -> None:
    start = bundle * TILE_WIDTH % size // TILE_WIDTH * TILE_WIDTH
    end = merkle.next_chunk(start, size, most)
    assert merkle.valid_subtree(start, end)
    assert end == size or end % TILE_WIDTH == 0
    assert 0 < end - start <= most


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_two_subtrees_cover_any_range(start: int, end: int) -> None:
    start, end = sorted((start, end))
    (left, middle), (middle_again, right) = merkle.covering(start, end)
    assert left <= start
    assert (middle, right) == (middle_again, end)
    assert all(merkle.valid_subtree(*each) or each[0] == each[1] for each in merkle.covering(start, end))
    assert middle - left < 2 * max(1, end - start)
