from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mintmark.register.entry import Entry, v1_extend, v1_hashes, v1_leaf
from mintmark.register.item import format_hash
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES
from mintmark.tlog.merkle import check_consistency, check_inclusion
from tests.support.lighthouse import ROWS
from tests.support.rsf import read_rsf

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = [entry for entry, _ in ROWS]
ROOTS = [
    "sha-256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha-256:59c58eaed96ce90f4a8fe08426cfccbf8ae28cd4caf84918bb01a70852bec502",
    "sha-256:a6ac04d43ce482c1ed65dd99048f822d76de3bbe3107c65e86b22db7d6c5d8d3",
]


def test_the_leaf_bytes() -> None:
    assert v1_leaf(1, ENTRIES[-2]) == (
        b'{"index-entry-number":"1","entry-number":"1","entry-timestamp":"2024-03-01T09:00:00Z","key":"FAR",'
        b'"item-hash":["sha-256:cbab62ce43aa52090d224c7fb56b76790b411926914c687cf877a8c49ca39b4b"]}'
    )
    assert v1_leaf(7, Entry("FAR", "2024-03-01T09:00:00Z", "user", None)).endswith(b'"key":"FAR","item-hash":[]}')


def test_the_roots_cover_user_entries_only() -> None:
    system, users = ENTRIES[:-2], ENTRIES[-2:]
    for size, root in enumerate(ROOTS):
        edge = v1_extend(Edge(), [*system, *users[:size]])
        assert (edge.size, format_hash(edge.root())) == (size, root)


def test_extending_in_steps_is_extending_at_once() -> None:
    edge = Edge()
    for entry in ENTRIES:
        edge = v1_extend(edge, [entry])
    assert edge == v1_extend(Edge(), ENTRIES)


@pytest.fixture(scope="module")
def country(registers: Path) -> list[Entry]:
    return [row.entry for row in read_rsf((registers / "history" / "country-208.rsf").read_bytes())]


def test_the_published_proofs(registers: Path, country: list[Entry]) -> None:
    vectors = json.loads((registers / "golden-vectors.json").read_bytes())
    hashes = v1_hashes(0, country)
    roots = {size: Edge().extend(hashes[: size * HASH_BYTES])[0].root() for size in (197, 200, 208)}
    assert roots[208].hex() == vectors["country_root_at_208"]
    path = [bytes.fromhex(digest) for digest in vectors["country_entry_proof_10_of_200"]]
    check_inclusion(9, 200, hashes[9 * HASH_BYTES : 10 * HASH_BYTES], path, roots[200])
    bridge = [bytes.fromhex(digest) for digest in vectors["country_consistency_197_200"]]
    check_consistency(197, roots[197], 200, roots[200], bridge)


def test_histories_are_prefixes_but_the_fork(registers: Path, country: list[Entry]) -> None:
    names = ("history/country-207.rsf", "history/country-208.rsf", "country.rsf", "history/country-forked.rsf")
    *honest, forked = (
        [row.entry for row in read_rsf((registers / name).read_bytes()) if row.entry.type == "user"] for name in names
    )
    for shorter, longer in pairwise(honest):
        assert longer[: len(shorter)] == shorter
    assert forked[:207] == honest[0]
    assert forked[207] != honest[1][207]
    assert v1_extend(Edge(), forked).root() != v1_extend(Edge(), honest[1]).root()
