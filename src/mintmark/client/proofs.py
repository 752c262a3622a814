"""Proofs that an entry is in a log, checked offline (C2SP tlog-proof, tlog-policy).

Importing this module, and calling `verify`, needs neither gRPC nor a database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import BadSignature, Malformed, NotAvailableYet, ProofError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mintmark.client.keys import KeyRing, Keys, TrustedLog
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.policy import Policy
    from mintmark.tlog.proof_file import ProofFile


class Proof(NamedTuple):
    """A proof to keep or to hand on: the bytes of the tlog-proof file, the entry's bytes, its index, and the head."""

    data: bytes
    entry: bytes
    index: int  # type: ignore[assignment]  # instead of tuple.index
    head: Checkpoint


class ProvenEntry(NamedTuple):
    """The entry is at `index` of the log `head.origin`, whose first `head.size` entries are signed by `head`.

    `witnesses` says when each witness of the policy cosigned the head: name -> Unix seconds. Empty without a policy.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index
    head: Checkpoint
    witnesses: Mapping[str, int]


def verify(
    proof: Proof | bytes,
    entry: bytes | None = None,
    *,
    keys: Keys | KeyRing | None = None,
    policy: bytes | None = None,
) -> ProvenEntry:
    """Checks offline that an entry is in a log.

    Args:
        proof: a `Proof`, or the bytes of a tlog-proof file.
        entry: the entry's bytes; a `Proof` has its own.
        keys: vkeys, key files or a directory of them. Every key of the proof's log must have signed, so that no byte
            of a signature goes unchecked.
        policy: the bytes of a tlog-policy, instead of keys: one of its logs signed, and its quorum cosigned.

    Raises:
        Malformed: no proof, no policy, or no key: the caller's mistake, which says nothing about the log.
        Misconfigured: a key file that cannot be read, or no key of the log that the proof names.
        BadSignature: a key did not sign, or a signature does not verify.
        ProofError: the entry is not shown to be in the signed tree, or the quorum did not cosign it.
    """
    if isinstance(proof, Proof):
        entry = proof.entry if entry is None else entry
        proof = proof.data
    if entry is None or (keys is None) == (policy is None):
        raise TypeError("verify takes an entry, and either keys or a policy")
    from mintmark.client.keys import KeyRing
    from mintmark.tlog.policy import parse_policy

    if policy is not None:
        return _verify(proof, entry, parse_policy(policy))
    return _verify(proof, entry, keys if isinstance(keys, KeyRing) else KeyRing(keys or ()))


def _verify(proof: bytes, entry: bytes, trusted: KeyRing | Policy) -> ProvenEntry:
    """Takes the proof apart, then checks it: Malformed is for what is no proof, not for one that does not hold."""
    from mintmark.client.keys import KeyRing, TrustedLog
    from mintmark.tlog.checkpoint import parse_tree_head
    from mintmark.tlog.note import parse_note
    from mintmark.tlog.proof_file import parse_proof

    parsed = parse_proof(proof)
    origin = parse_tree_head(parse_note(parsed.checkpoint)[0]).origin
    rules = trusted.signer_of(origin) if isinstance(trusted, KeyRing) else trusted
    try:
        if isinstance(rules, TrustedLog):
            return _check_by_keys(parsed, entry, rules)
        return _check_by_policy(parsed, entry, rules)
    except (Malformed, NotAvailableYet) as error:  # a cosignature that is missing in a file does not come any more
        raise ProofError(f"the proof does not hold: {error}", parsed.checkpoint) from error


def _check_by_policy(proof: ProofFile, entry: bytes, policy: Policy) -> ProvenEntry:
    from mintmark.tlog.kernel import leaf_hash
    from mintmark.tlog.merkle import check_inclusion
    from mintmark.tlog.policy import open_by_policy

    head, witnesses = open_by_policy(proof.checkpoint, policy)
    check_inclusion(proof.index, head.size, leaf_hash(entry), proof.hashes, head.root)
    return ProvenEntry(proof.index, head, witnesses)


def _check_by_keys(proof: ProofFile, entry: bytes, log: TrustedLog) -> ProvenEntry:
    from mintmark.tlog.kernel import leaf_hash
    from mintmark.tlog.proof_file import check_proof_file

    head = check_proof_file(proof, leaf_hash(entry), log.origin, log.verifiers)
    check_signed_by_all(proof.checkpoint, log.verifiers)
    return ProvenEntry(proof.index, head, {})


def check_signed_by_all(note: bytes, verifiers: tuple[Verifier, ...]) -> None:
    """Raises BadSignature where one of these keys, of the log or of a witness, did not sign a note."""
    from mintmark.tlog.note import open_note

    signed = {(line.name, line.key_id) for line in open_note(note, verifiers).verified}
    for key in verifiers:
        if (key.name, key.key_id) not in signed:
            raise BadSignature(f"{key.name} did not sign with the key {key.vkey}", note)
