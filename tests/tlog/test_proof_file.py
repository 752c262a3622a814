"""Proof files: read as strictly as they are printed, and believed for nothing but what is signed."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import BadSignature, Malformed, ProofError
from mintmark.tlog import prove
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT, leaf_hash
from mintmark.tlog.note import generate_skey, parse_vkey
from mintmark.tlog.proof_file import (
    MAX_PROOF_BYTES,
    ProofFile,
    ProofParts,
    check_proof_file,
    format_parts,
    format_proof,
    parse_parts,
    parse_proof,
)
from tests.support import vectors
from tests.support.tree import Tree, entries

ORIGIN, SIZE = "log.example/a", 300
SIGNER = generate_skey(ORIGIN)
KEYS = [parse_vkey(SIGNER.vkey)]
TREE = Tree(entries(SIZE))


def proof_of(index: int, size: int = SIZE) -> ProofFile:
    hashes = tuple(TREE.prove(prove.inclusion_spans(index, size)))
    return ProofFile(index, hashes, sign_checkpoint(ORIGIN, size, TREE.root(size), [SIGNER]).note)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (1, 2), (299, 300), (7, 256), (256, 257)])
def test_it_holds(index: int, size: int) -> None:
    proof = parse_proof(format_proof(proof_of(index, size)))
    assert proof == proof_of(index, size)
    head = check_proof_file(proof, leaf_hash(TREE.entries[index]), ORIGIN, KEYS)
    assert (head.origin, head.size, head.root) == (ORIGIN, size, TREE.root(size))


def test_it_holds_of_nothing_else() -> None:
    proof, leaf = proof_of(7), leaf_hash(TREE.entries[7])
    for other in (
        proof._replace(index=8), proof._replace(index=SIZE), proof._replace(index=2**63 - 1),
        proof._replace(hashes=proof.hashes[1:]), proof._replace(hashes=(*proof.hashes, bytes(32))),
        proof._replace(hashes=proof_of(8).hashes), proof._replace(checkpoint=proof_of(7, 299).checkpoint),
    ):  # fmt: skip
        with pytest.raises(ProofError):
            check_proof_file(parse_proof(format_proof(other)), leaf, ORIGIN, KEYS)
    with pytest.raises(ProofError):
        check_proof_file(proof, leaf_hash(TREE.entries[8]), ORIGIN, KEYS)
    with pytest.raises(Malformed, match="belongs"):
        check_proof_file(proof, leaf, "log.example/b", KEYS)
    with pytest.raises(BadSignature):
        check_proof_file(proof, leaf, ORIGIN, [parse_vkey(generate_skey(ORIGIN).vkey)])


def test_nothing_is_in_an_empty_log() -> None:
    note = sign_checkpoint(ORIGIN, 0, EMPTY_ROOT, [SIGNER]).note
    with pytest.raises(ProofError):
        check_proof_file(ProofFile(0, (), note), EMPTY_ROOT, ORIGIN, KEYS)


@vectors.needed
def test_public_proofs() -> None:
    known = vectors.load("tlog-proof/proofs.json")
    for case in known["marshal"]:
        extra = base64.b64decode(case["extra_b64"]) if "extra_b64" in case else None
        hashes = tuple(base64.b64decode(digest) for digest in case["hashes"])
        proof = ProofFile(case["index"], hashes, case["checkpoint"].encode(), extra)
        assert format_proof(proof) == case["want"].encode()
        assert parse_proof(case["want"].encode()) == proof
    for case in known["malformed"]:
        with pytest.raises(Malformed):
            parse_proof(case["proof"].encode())


HEADER = b"c2sp.org/tlog-proof@v1\n"
HASH_LINE = base64.b64encode(bytes(32)) + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", HEADER, HEADER + b"index 0\n", b" " + HEADER + b"index 0\n\nx\n", HEADER + b"index 00\n\nx\n",
        HEADER.replace(b"1", b"2") + b"index 0\n\nx\n", b"c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\nx\n",
        HEADER + b"index  0\n\nx\n", HEADER + b"index 0\nextra AAAA\n\nx\n", HEADER + b"extra AAB=\nindex 0\n\nx\n",
        HEADER + b"extra AAAA\nextra AAAA\nindex 0\n\nx\n", HEADER + b"extra\nindex 0\n\nx\n",
        HEADER + b"index 9223372036854775808\n\nx\n", HEADER + b"index 0\n" + HASH_LINE * 64 + b"\nx\n",
    ],
)  # fmt: skip
def test_what_is_no_proof(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_proof(data)


def test_the_checkpoint_is_left_as_it_is() -> None:
    """The first empty line divides; whatever follows is the checkpoint's own affair."""
    data = b"c2sp.org/tlog-proof@v1\nindex 0\n" + HASH_LINE * 63 + b"\na\n\nb\r\n\n\xff"
    assert parse_proof(data).checkpoint == b"a\n\nb\r\n\n\xff"
    assert format_proof(parse_proof(data)) == data


proofs = st.builds(
    ProofFile,
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.binary(max_size=50),
    st.none() | st.binary(max_size=20),
)


@given(proofs)
def test_a_proof_is_read_as_it_is_printed(proof: ProofFile) -> None:
    assert parse_proof(format_proof(proof)) == proof


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda rest: b"c2sp.org/tlog-proof@v1\n" + rest))
def test_any_bytes_are_a_proof_or_malformed(data: bytes) -> None:
    try:
        proof = parse_proof(data)
    except Malformed:
        return
    assert format_proof(proof) == data


@given(proofs, st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_another_proof_or_malformed(proof: ProofFile, at: int, change: int) -> None:
    data = bytearray(format_proof(proof))
    data[at % len(data)] ^= change
    try:
        other = parse_proof(bytes(data))
    except Malformed:
        return
    assert other != proof
    assert format_proof(other) == bytes(data)


def test_a_proof_is_a_mebibyte_at_most() -> None:
    proof = ProofFile(0, (), b"x" * (MAX_PROOF_BYTES - len(HEADER) - len(b"index 0\n\n")))
    assert parse_proof(format_proof(proof)) == proof
    longer = proof._replace(checkpoint=proof.checkpoint + b"x")
    for call, given_ in ((format_proof, longer), (parse_proof, format_proof(proof) + b"x")):
        with pytest.raises(Malformed, match="more than 1,048,576 bytes"):
            call(given_)  # type: ignore[operator]


OWN = b"mintmark/proof@v1\n"


@pytest.mark.parametrize(
    ("parts", "extra"),
    [
        (ProofParts(b"leaf"), OWN + b"entry 4\nleaf"),
        (ProofParts(b""), OWN + b"entry 0\n"),
        (ProofParts(b"leaf", b"{}"), OWN + b"entry 4\nleafitem 2\n{}"),
        (ProofParts(b"item 2\n{}", b"\n" * 10), OWN + b"entry 9\nitem 2\n{}item 10\n" + b"\n" * 10),
    ],
)
def test_parts_stand_behind_their_lengths(parts: ProofParts, extra: bytes) -> None:
    assert format_parts(parts) == extra
    assert parse_parts(extra) == parts


@pytest.mark.parametrize("extra", [None, b"", b"extra", b"entry 4\nleaf", b"Mintmark/proof@v1\nentry 1\nx"])
def test_an_extra_of_others_has_no_parts(extra: bytes | None) -> None:
    assert parse_parts(extra) is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (b"mintmark/", "another version"), (b"mintmark/proof@v2\nentry 1\nx", "another version"),
        (b"mintmark/proof@v1", "another version"), (b"mintmark/proof@v1\r\nentry 1\nx", "another version"),
        (OWN, "without the entry"), (OWN + b"item 2\n{}", "without the entry"),
        (OWN + b"entry 1\nxentry 1\nx", "twice or too late"), (OWN + b"entry 1\nxitem 1\nyitem 1\ny", "twice"),
        (OWN + b"item 2\n{}entry 1\nx", "twice or too late"),
        (OWN + b"entry 1\nxstatement 1\ny", "'statement' is not known to this version"),
        (OWN + b"entry 1\nxchain 1\ny", "'chain' is not known to this version"),
        (OWN + b"note 1\ny", "'note' belongs in no proof"),
        (OWN + b"entry 5\nleaf", "has 4 of its 5 bytes"), (OWN + b"entry 4\nleafitem 3\n{}", "has 2 of its 3 bytes"),
        (OWN + b"entry 4\nleaf\n", "byte 30 of the extra is not the beginning of a part"),
        (OWN + b"entry 4\nleafx", "not the beginning"), (OWN + b"entry 3\nleaf", "not the beginning"),
        (OWN + b"entry 04\nleaf", "not the beginning"), (OWN + b"entry +4\nleaf", "not the beginning"),
        (OWN + b"entry 4 \nleaf", "not the beginning"), (OWN + b"entry  4\nleaf", "not the beginning"),
        (OWN + b"entry 4\r\nleaf", "not the beginning"), (OWN + b"entry -1\n", "not the beginning"),
        (OWN + b"entry 99999999\nleaf", "not the beginning"), (OWN + b"Entry 4\nleaf", "not the beginning"),
        (OWN + b"entry 4", "not the beginning"), (OWN + b"\nentry 4\nleaf", "not the beginning"),
    ],
)  # fmt: skip
def test_what_is_no_extra_of_ours(extra: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        parse_parts(extra)


@given(st.binary(max_size=300), st.none() | st.binary(max_size=300))
def test_parts_are_read_as_they_are_printed(entry: bytes, item: bytes | None) -> None:
    assert parse_parts(format_parts(ProofParts(entry, item))) == ProofParts(entry, item)


pieces = st.sampled_from([b"entry ", b"item ", b"chain ", b"0", b"1", b"2", b"12", b"\n", b"x", b" ", b"\xff"])


@given(st.lists(pieces, max_size=12).map(b"".join) | st.binary(max_size=40))
def test_any_extra_of_ours_is_what_would_be_printed_or_malformed(rest: bytes) -> None:
    try:
        parts = parse_parts(OWN + rest)
    except Malformed:
        return
    assert parts is not None
    assert format_parts(parts) == OWN + rest


@given(st.binary(max_size=30), st.none() | st.binary(max_size=30), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_other_parts_or_malformed(entry: bytes, item: bytes | None, at: int, change: int) -> None:
    extra = bytearray(format_parts(ProofParts(entry, item)))
    extra[at % len(extra)] ^= change
    try:
        other = parse_parts(bytes(extra))
    except Malformed:
        return
    assert other != ProofParts(entry, item)
