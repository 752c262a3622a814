"""`mintmark verify`: a proof, an entry and a key or a policy, without any server (C2SP tlog-proof, tlog-policy).

Here every fault of the files is one answer: it does not hold (exit 3); but for a key or a policy that never was one,
which is the user's mistake (exit 1). Each key that is named must have signed, so that
no byte of a signature goes unchecked; by a policy, those that it asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import dir_option, json_option, key_argument, trust_option, vkey_option
from mintmark.cli.output import answer
from mintmark.config.key_files import check_keylike
from mintmark.errors import BadSignature, Malformed, Misconfigured, NotAvailableYet
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--entry", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True, help="The entry's bytes."
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A tlog-policy: the logs and the quorum of witnesses to believe.",
)
@vkey_option
@trust_option
@dir_option
@json_option
def verify(
    file: Path, entry: Path, policy: Path | None, vkeys: tuple[str, ...], trust: Path | None, dir_: Path, as_json: bool
) -> None:
    """Check offline that the entry is in the log that the tlog-proof FILE speaks of. Exit 3 when it does not hold."""
    if policy and (vkeys or trust):
        raise click.UsageError("a policy has its keys: give --policy, or --vkey, or --trust")
    proof, leaf = file.read_bytes(), entry.read_bytes()
    if policy:
        _check_policylike(policy)
    for key in vkeys:
        if "+" not in key or Path(key).exists():
            check_keylike(Path(key))
    try:
        if policy:
            head, index, witnesses = _verify_by_policy(proof, leaf, policy.read_bytes())
        else:
            (head, index), witnesses = _verify(proof, leaf, vkeys, trust or dir_ / "trust"), {}
    except (Malformed, NotAvailableYet) as error:
        raise BadSignature(f"the proof does not hold: {error}") from error
    result = {"origin": head.origin, "index": index, "size": head.size, "root": head.root.hex(), "witnesses": witnesses}
    seen = f", witnessed by {', '.join(witnesses)}" if witnesses else ""
    answer(as_json, result, f"entry {index} is in {head.origin} at size {head.size}{seen}")


def _check_policylike(file: Path) -> None:
    """Raises Misconfigured for a file that was never a policy, changed or not; one that is empty may have been."""
    words = {line.split()[0] for line in file.read_bytes().splitlines() if line.strip()}
    if words and not words & {b"log", b"witness", b"group", b"quorum"}:
        raise Misconfigured(f"{file} is not a policy; the lines of one begin with log, witness, group and quorum")


def _verify_by_policy(proof: bytes, entry: bytes, policy: bytes) -> tuple[Checkpoint, int, dict[str, int]]:
    from mintmark.tlog.kernel import leaf_hash
    from mintmark.tlog.merkle import check_inclusion
    from mintmark.tlog.policy import open_by_policy, parse_policy
    from mintmark.tlog.proof_file import parse_proof

    parsed = parse_proof(proof)
    head, witnesses = open_by_policy(parsed.checkpoint, parse_policy(policy))
    check_inclusion(parsed.index, head.size, leaf_hash(entry), parsed.hashes, head.root)
    return head, parsed.index, witnesses


def _verify(proof: bytes, entry: bytes, vkeys: tuple[str, ...], trust: Path) -> tuple[Checkpoint, int]:
    from mintmark.tlog.kernel import leaf_hash
    from mintmark.tlog.note import open_note
    from mintmark.tlog.proof_file import check_proof_file, parse_proof

    parsed = parse_proof(proof)
    origin, verifiers = _keys(parsed.checkpoint, vkeys, trust)
    head = check_proof_file(parsed, leaf_hash(entry), origin, verifiers)
    signed = {(line.name, line.key_id) for line in open_note(parsed.checkpoint, verifiers).verified}
    if missing := [key for key in verifiers if (key.name, key.key_id) not in signed]:
        raise BadSignature(f"{origin} did not sign with the key {missing[0].vkey}")
    return head, parsed.index


def _keys(checkpoint: bytes, vkeys: tuple[str, ...], trust: Path) -> tuple[str, tuple[Verifier, ...]]:
    """The keys to check by: those given, or those that are trusted for the origin that the proof names."""
    from mintmark.config.key_files import read_vkeys
    from mintmark.tlog.checkpoint import parse_tree_head

    if vkeys:
        given = tuple(verifier for key in vkeys for verifier in key_argument(key))
        return given[0].name, given
    origin = parse_tree_head(checkpoint.partition(b"\n\n")[0] + b"\n").origin
    files = {file.stem: file for file in trust.glob("*.vkey")}
    if not files:
        raise Misconfigured(f"no keys are in {trust}; give the log's key with --vkey")
    verifiers = read_vkeys(files[name]) if (name := short_name(origin)) in files else ()
    if not verifiers or verifiers[0].name != origin:
        raise BadSignature(f"no key of {origin!r} is trusted here ({trust}); if you trust it, give its key with --vkey")
    return origin, verifiers
