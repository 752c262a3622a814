"""The hash functions and the batch functions, in Python and in the native twin where it is built."""

from __future__ import annotations

import importlib.util
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed, Misconfigured
from mintmark.tlog import kernel as installed
from tests.support import reference, vectors
from tests.support.kernels import load_twin

if TYPE_CHECKING:
    from types import ModuleType

NATIVE = importlib.util.find_spec("mintmark.tlog._kernel") is not None


def load(choice: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load_twin(installed, choice, monkeypatch)


@pytest.fixture(
    scope="module",
    params=["python", pytest.param("native", marks=pytest.mark.skipif(not NATIVE, reason="no native kernel is built"))],
)
def kernel(request: pytest.FixtureRequest) -> ModuleType:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return load(request.param, monkeypatch)


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load("python", monkeypatch).NATIVE
    assert load("", monkeypatch).NATIVE is NATIVE
    with pytest.raises(Misconfigured, match="python or native"):
        load("rust", monkeypatch)


def test_a_native_kernel_that_is_not_built_is_missed_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mintmark.tlog._kernel", None)
    assert not load("", monkeypatch).NATIVE
    with pytest.raises(Misconfigured, match="not built"):
        load("native", monkeypatch)


def test_known_hashes(kernel: ModuleType) -> None:
    assert kernel.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert kernel.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert kernel.leaf_hashes(b"\0\0") == kernel.leaf_hash(b"")


@vectors.needed
def test_the_reference_tree(kernel: ModuleType) -> None:
    tree = vectors.load("merkle/reference_tree.json")
    leaves = [bytes.fromhex(leaf) for leaf in tree["leaf_inputs_hex"]]
    hashes = kernel.leaf_hashes(b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves))
    assert hashes.hex() == "".join(tree["node_hashes_hex"][0])
    for size, root in enumerate(tree["root_hashes_by_size_hex"]):
        assert (kernel.fold(hashes[: size * 32]) if size else kernel.EMPTY_ROOT).hex() == root
    for case in tree["hasher"]:
        args = [case[name].encode() for name in ("in_ascii", "left_ascii", "right_ascii") if name in case]
        hashed = {"leaf": kernel.leaf_hash, "node": kernel.node, "empty_root": lambda: kernel.EMPTY_ROOT}[case["op"]]
        assert hashed(*args).hex() == case["want"]


def test_fold_is_the_root_of_every_number_of_leaves(kernel: ModuleType) -> None:
    entries = tuple(bytes([i]) for i in range(256))
    hashes = b"".join(kernel.leaf_hash(entry) for entry in entries)
    for count in range(1, 257):
        assert kernel.fold(hashes[: count * 32]) == reference.mth(entries[:count])


@pytest.mark.parametrize("hashes", [b"", b"x", bytes(31), bytes(33), bytes(95)])
def test_fold_wants_whole_hashes(kernel: ModuleType, hashes: bytes) -> None:
    with pytest.raises(Malformed, match="whole hashes"):
        kernel.fold(hashes)


@given(st.integers(0, 700))
def test_tiles_fold_to_the_hashes_a_level_higher(kernel: ModuleType, count: int) -> None:
    hashes = sha256(b"seed").digest() + bytes(range(256)) * (count // 8 + 1)
    hashes = hashes[: count * 32]
    folded = kernel.fold_tiles(hashes)
    assert folded == b"".join(kernel.fold(hashes[at : at + 8192]) for at in range(0, len(hashes), 8192))
    if count:
        assert kernel.fold(folded) == kernel.fold(hashes)


@pytest.mark.parametrize("hashes", [b"x", bytes(31), bytes(8193)])
def test_tiles_are_whole_hashes(kernel: ModuleType, hashes: bytes) -> None:
    with pytest.raises(Malformed, match="whole hashes"):
        kernel.fold_tiles(hashes)


@pytest.mark.parametrize("bundle", [b"\0", b"\0\1", b"\0\0\0", b"\0\1a\0", b"\0\2a", b"\xff\xff" + bytes(65_534)])
def test_a_truncated_bundle_is_refused(kernel: ModuleType, bundle: bytes) -> None:
    with pytest.raises(Malformed, match="truncated"):
        kernel.cut(bundle)
    with pytest.raises(Malformed, match="truncated"):
        kernel.leaf_hashes(bundle)


@given(st.binary(max_size=60) | st.lists(st.integers(0, 3)).map(bytes))
def test_any_bytes_are_entries_or_malformed(kernel: ModuleType, data: bytes) -> None:
    try:
        entries = kernel.cut(data)
    except Malformed:
        return
    assert b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries) == data
    assert kernel.leaf_hashes(data) == b"".join(kernel.leaf_hash(entry) for entry in entries)


@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 6), st.integers(0, 8), st.binary(max_size=1))
def test_skipping_ends_where_entries_do(
    kernel: ModuleType, entries: list[bytes], before: int, most: int, rest: bytes
) -> None:
    def joined(count: int) -> bytes:
        return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries[:count])

    at, whole = len(joined(before)), len(entries) - min(before, len(entries))
    if rest and most > whole:
        with pytest.raises(Malformed, match="truncated"):
            kernel.skip(joined(len(entries)) + rest, at, most)
    else:
        end = (len(joined(before + most)), min(most, whole))
        assert kernel.skip(joined(len(entries)) + rest, at, most) == end


@pytest.mark.parametrize(("at", "most"), [(6, 0), (6, 1), (0, 2), (3, 1), (-1, 0), (-3, 1)])
def test_there_is_nothing_to_skip_behind_the_end(kernel: ModuleType, at: int, most: int) -> None:
    with pytest.raises(Malformed, match="truncated"):
        kernel.skip(b"\0\1a\0\1", at, most)
