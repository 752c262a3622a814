"""`mintmark prove` and `mintmark verify`: proofs fetched, and checked offline (C2SP tlog-proof, tlog-policy)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options, dir_option, json_option, trust_option, vkey_option
from mintmark.cli.output import answer, run
from mintmark.errors import Malformed
from mintmark.files import write_durably

if TYPE_CHECKING:
    from mintmark.cli.options import Target
    from mintmark.client.keys import TrustedLog
    from mintmark.client.proofs import Proof, ProvenEntry

_written = click.Path(path_type=Path, dir_okay=False)
_read = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("name")
@click.option("--record", metavar="KEY", help="The latest entry of this record.")
@click.option("--index", type=click.IntRange(min=0), help="The entry at this index.")
@click.option("-o", "--out", type=_written, required=True, help="Where to write the proof.")
@click.option("--entry-out", type=_written, required=True, help="Where to write the entry's bytes.")
@click.option(
    "--policy",
    type=_read,
    help="A tlog-policy that the proof has to satisfy; its witnesses' cosignatures become part of it.",
)
@client_options
def prove(
    name: str, record: str | None, index: int | None, out: Path, entry_out: Path, policy: Path | None,
    target: Target, as_json: bool,
) -> None:  # fmt: skip
    """Fetch the proof that an entry is in the log NAME, and check it, to keep it or to hand it on.

    Who has the two files and the log's public key can check them offline, years later: mintmark verify.
    """
    if (record is None) == (index is None):
        raise click.UsageError("say which entry: --record KEY or --index N")
    log = target.log(name)
    proof = run(_prove(target, log, record, index, _read_policy(policy) if policy else None))
    write_durably(entry_out, proof.entry)
    write_durably(out, proof.data)
    index, size = proof.index, proof.head.size
    result = {"origin": log.origin, "index": index, "size": size, "proof": str(out), "entry": str(entry_out)}
    answer(as_json, result, f"entry {index} of {log.origin} is proven at size {size}: {out}, {entry_out}")


async def _prove(target: Target, log: TrustedLog, record: str | None, index: int | None, policy: bytes | None) -> Proof:
    async with target.client(log) as client:
        return await client.log(log.origin).prove(record=record, index=index, policy=policy)


@click.command()
@click.argument("file", type=_read)
@click.option("--entry", type=_read, required=True, help="The entry's bytes.")
@click.option("--policy", type=_read, help="A tlog-policy: the logs and the quorum of witnesses to believe.")
@vkey_option
@trust_option
@dir_option
@json_option
def verify(
    file: Path, entry: Path, policy: Path | None, vkeys: tuple[str, ...], trust: Path | None, dir_: Path, as_json: bool
) -> None:
    """Check offline that the entry is in the log that the tlog-proof FILE speaks of. Exit 3 when it does not hold.

    A file that is no proof, no key or no policy says nothing about the log: exit 1.
    """
    if policy and (vkeys or trust):
        raise click.UsageError("a policy has its keys: give --policy, or --vkey, or --trust")
    proven = _verify(file, entry.read_bytes(), policy, vkeys, trust or dir_ / "trust")
    head, witnesses = proven.head, dict(proven.witnesses)
    result = {"origin": head.origin, "index": proven.index, "size": head.size, "root": head.root.hex()}
    seen = f", witnessed by {', '.join(witnesses)}" if witnesses else ""
    text = f"entry {proven.index} is in {head.origin} at size {head.size}{seen}"
    answer(as_json, result | {"witnesses": witnesses}, text)


def _verify(file: Path, entry: bytes, policy: Path | None, vkeys: tuple[str, ...], trust: Path) -> ProvenEntry:
    """Reads keys or policy first, so that each error names its file."""
    from mintmark.client.keys import KeyRing
    from mintmark.client.proofs import check_signed_by_all, verify

    rules = _read_policy(policy) if policy else None
    keys = None if policy else KeyRing(vkeys, directories=() if vkeys else [trust])
    try:
        proven = verify(file.read_bytes(), entry, keys=keys, policy=rules)
    except Malformed as error:
        raise Malformed(f"{file}: {error}") from error
    if keys is not None and keys.given:  # a witness's too
        check_signed_by_all(proven.head.note, keys.given)
    return proven


def _read_policy(file: Path) -> bytes:
    from mintmark.tlog.policy import parse_policy

    policy = file.read_bytes()
    try:
        parse_policy(policy)
    except Malformed as error:
        raise Malformed(f"{file} is not a policy: {error}") from error
    return policy
