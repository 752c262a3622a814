"""Proofs that an entry is in a log, checked offline (C2SP tlog-proof, tlog-policy).

A proof file of ours holds the entry, and the item of a register's entry. Each is believed for what binds it: the entry
for the hashes that lead to the signed root, the item for its hash in the entry.

Importing this module, and calling `verify`, needs neither gRPC nor a database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import BadSignature, Malformed, NotAvailableYet, ProofError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mintmark.client.keys import KeyRing, Keys, TrustedLog
    from mintmark.register.entry import Entry
    from mintmark.register.item import Item
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Signature, Verifier
    from mintmark.tlog.policy import Policy
    from mintmark.tlog.proof_file import ProofFile, ProofParts


class Proof(NamedTuple):
    """A proof to keep or to hand on: the bytes of the tlog-proof file, and what it proves.

    `item` is the item of a register's entry; None where it has none, and where it was erased.
    """

    data: bytes
    entry: bytes
    index: int  # type: ignore[assignment]  # instead of tuple.index
    head: Checkpoint
    item: bytes | None = None

    @property
    def lacks_item(self) -> bool:
        """True if the entry names an item that is not here: it was erased, or the server withholds it."""
        return self.item is None and (entry := _register_entry(self.entry)) is not None and entry.item_hash is not None


class ProvenEntry(NamedTuple):
    """The entry is at `index` of the log `head.origin`, whose first `head.size` entries are signed by `head`.

    `entry` and `item` are the bytes that were proven. `item` is None where neither the proof file nor the caller had
    one: the entry has none, or it was erased or left out. The note of `head` has the signatures that were checked;
    `witnesses` says when each witness of the policy, or whose key was given, cosigned it: name -> Unix seconds.
    """

    index: int  # type: ignore[assignment]  # instead of tuple.index
    head: Checkpoint
    witnesses: Mapping[str, int]
    entry: bytes
    item: bytes | None

    @property
    def register_entry(self) -> Entry | None:
        """The entry's meaning in a register; None for bytes that have none, as most in an opaque log."""
        return _register_entry(self.entry)

    @property
    def readable_item(self) -> Item | None:
        """The item's members; None where there is none, or where it does not parse."""
        from mintmark.register.item import parse_item

        try:
            return None if self.item is None else parse_item(self.item)
        except Malformed:
            return None

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """The signatures of the head that were checked: name, key ID and signature."""
        from mintmark.tlog.note import parse_note

        return parse_note(self.head.note)[1]


def verify(
    proof: Proof | bytes,
    entry: bytes | None = None,
    *,
    item: bytes | None = None,
    keys: Keys | KeyRing | None = None,
    policy: bytes | None = None,
) -> ProvenEntry:
    """Checks offline that an entry is in a log, and that an item is that entry's.

    Args:
        proof: a `Proof`, or the bytes of a tlog-proof file.
        entry: the entry's bytes; where the file holds them, they must be the same.
        item: the bytes of a register entry's item, likewise.
        keys: vkeys, key files or a directory of them. Every key of the proof's log must have signed, so that no byte
            of a signature goes unchecked.
        policy: the bytes of a tlog-policy, instead of keys: one of its logs signed, and its quorum cosigned.

    Raises:
        Malformed: no proof, none that holds its entry where none is given, no policy, or no key: the caller's
            mistake, which says nothing about the log.
        Misconfigured: a key file that cannot be read, or no key of the log that the proof names.
        BadSignature: a key did not sign, or a signature does not verify.
        ProofError: the entry is not shown to be in the signed tree, the item is not the entry's, or the quorum did
            not cosign the tree.
    """
    if (keys is None) == (policy is None):
        raise TypeError("verify takes either keys or a policy")
    from mintmark.client.keys import KeyRing
    from mintmark.tlog.policy import parse_policy

    given = _Given(proof.data if isinstance(proof, Proof) else proof, entry, item)
    if policy is not None:
        return _verify(given, parse_policy(policy))
    return _verify(given, keys if isinstance(keys, KeyRing) else KeyRing(keys or ()))


class _Given(NamedTuple):
    """What a caller wants to have checked; entry and item are None where they are in the file only."""

    file: bytes
    entry: bytes | None
    item: bytes | None


def _verify(given: _Given, trusted: KeyRing | Policy) -> ProvenEntry:
    """Takes the proof apart, then checks it: Malformed is for what is no proof, not for one that does not hold."""
    from mintmark.client.keys import KeyRing
    from mintmark.tlog.checkpoint import read_tree_head
    from mintmark.tlog.policy import Policy, open_by_policy
    from mintmark.tlog.proof_file import parse_parts, parse_proof

    proof = parse_proof(given.file)
    parts = parse_parts(proof.extra)
    if given.entry is None and parts is None:
        raise Malformed("the proof file does not hold its entry; give the entry's bytes beside it")
    note = proof.checkpoint
    origin = read_tree_head(note).origin
    rules = (trusted.signer_of(origin), trusted.given) if isinstance(trusted, KeyRing) else trusted
    try:
        head, witnesses = open_by_policy(note, rules) if isinstance(rules, Policy) else _open_by_keys(note, *rules)
        entry, item = _check_parts(proof, parts, given, head)
    except (Malformed, NotAvailableYet) as error:  # a cosignature that is missing in a file does not come any more
        raise ProofError(f"the proof does not hold: {error}", note) from error
    return ProvenEntry(proof.index, head, witnesses, entry, item)


def _open_by_keys(note: bytes, log: TrustedLog, given: tuple[Verifier, ...]) -> tuple[Checkpoint, dict[str, int]]:
    """The head that each key of the log signed, and when each witness whose key was given cosigned it.

    Its note keeps the signatures by any of these keys.
    """
    from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint
    from mintmark.tlog.cosignature import cosignatures
    from mintmark.tlog.note import format_note, open_note

    head = open_checkpoint(note, log.origin, log.verifiers)
    check_signed_by_all(note, log.verifiers)
    witnesses = [key for key in given if key not in log.verifiers]
    opened = open_note(note, [*log.verifiers, *witnesses])
    times = {witness.name: time for witness, time in cosignatures(opened, witnesses).items()}
    return Checkpoint(head.origin, head.size, head.root, format_note(*opened)), times


def _check_parts(
    proof: ProofFile, parts: ProofParts | None, given: _Given, head: Checkpoint
) -> tuple[bytes, bytes | None]:
    """The entry that the hashes bind, and the item that the entry binds, if there is one."""
    from mintmark.tlog.kernel import leaf_hash
    from mintmark.tlog.merkle import check_inclusion

    entry = _one("entry", parts and parts.entry, given.entry) or b""
    check_inclusion(proof.index, head.size, leaf_hash(entry), proof.hashes, head.root)
    item = _one("item", parts and parts.item, given.item)
    if item is not None:
        check_item(entry, item)
    return entry, item


def _one(name: str, held: bytes | None, given: bytes | None) -> bytes | None:
    """The bytes that a file holds and a caller gives, or one of them does."""
    if held is not None and given is not None and held != given:
        raise ProofError(f"the {name} beside the proof file is not the one in it")
    return held if given is None else given


def check_item(entry: bytes, item: bytes) -> None:
    """Checks that an item is the one that a register's entry names. Raises ProofError."""
    from mintmark.register.item import item_hash

    read = _register_entry(entry)
    if read is None or read.item_hash is None:
        raise ProofError("the entry names no item, and there is one beside it")
    if read.item_hash != item_hash(item):
        raise ProofError("the item is not the one that the entry names")


def _register_entry(entry: bytes) -> Entry | None:
    from mintmark.register.entry import parse_entry

    try:
        return parse_entry(entry)
    except Malformed:
        return None


def check_signed_by_all(note: bytes, verifiers: tuple[Verifier, ...]) -> None:
    """Raises BadSignature where one of these keys, of the log or of a witness, did not sign a note."""
    from mintmark.tlog.note import open_note

    signed = {(line.name, line.key_id) for line in open_note(note, verifiers).verified}
    for key in verifiers:
        if (key.name, key.key_id) not in signed:
            raise BadSignature(f"{key.name} did not sign with the key {key.vkey}", note)
