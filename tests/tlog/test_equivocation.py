"""Two signed trees of one size convict the log, whoever shows them; no other contradiction does."""

from __future__ import annotations

from mintmark.errors import Fork, ProofError, Rollback
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.note import generate_skey, parse_vkey
from mintmark.tlog.trust import is_equivocation

ORIGIN = "log.example/things"
SIGNER = generate_skey(ORIGIN)
VERIFIERS = [parse_vkey(SIGNER.vkey)]


def note(size: int, root: bytes, origin: str = ORIGIN, signer: object = SIGNER) -> bytes:
    return sign_checkpoint(origin, size, root * 32, [signer]).note  # type: ignore[list-item]


def test_two_trees_of_one_size_convict_the_log() -> None:
    assert is_equivocation(Fork("two trees", note(5, b"a"), note(5, b"b")), ORIGIN, VERIFIERS)


def test_anything_less_does_not() -> None:
    stranger = generate_skey(ORIGIN)
    for error in (
        Fork("one tree", note(5, b"a"), note(5, b"a")),
        Fork("of two sizes", note(5, b"a"), note(6, b"b")),
        Fork("one note", note(5, b"a")),
        Fork("no note", note(5, b"a"), b"junk"),
        Fork("a stranger's", note(5, b"a"), note(5, b"b", signer=stranger)),
        Fork("of another log", note(5, b"a"), note(5, b"b", origin="log.example/other")),
        Rollback("two trees", note(5, b"a"), note(5, b"b")),
        ProofError("two trees", note(5, b"a"), note(5, b"b")),
    ):
        assert not is_equivocation(error, ORIGIN, VERIFIERS), error
