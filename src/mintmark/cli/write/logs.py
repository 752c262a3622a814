"""`mintmark keygen` and `mintmark create`: a log's keys, and the log, empty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options, json_option
from mintmark.cli.output import answer, run
from mintmark.client.keys import TrustedLog
from mintmark.errors import Rejected
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from mintmark.cli.options import Target
    from mintmark.formats import LogKind
    from mintmark.tlog.checkpoint import Checkpoint


@click.command()
@click.argument("origin")
@click.option("--mldsa", is_flag=True, help="Make an ML-DSA-44 key too, against quantum computers.")
@click.option("--cosigner", is_flag=True, help="Make a mirror's key, to cosign with: Ed25519, or ML-DSA-44 by --mldsa.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="Where to write NAME.key (default here).",
)
@json_option
def keygen(origin: str, mldsa: bool, cosigner: bool, out: Path, as_json: bool) -> None:
    """Make a signing key for the log ORIGIN (say registers.example/country), and print its public key.

    The secret goes to NAME.key, NAME being the last segment of ORIGIN; it is for the mint alone. The public key is what
    mirrors and clients are to trust: hand it to them by a way that does not pass through the mint.

    With --cosigner, ORIGIN is the mirror's own name, and the secret is for that mirror alone.
    """
    from mintmark.config.key_files import make_cosigner, make_keys, write_keys
    from mintmark.formats import name_fault

    signers = (make_cosigner(origin, mldsa),) if cosigner else make_keys(origin, mldsa)
    if not cosigner and (fault := name_fault(origin, "opaque")) is not None:
        raise Rejected(fault, rule="name")
    secret = out / f"{short_name(origin)}.key"
    write_keys(secret, signers)
    vkeys = [signer.vkey for signer in signers]
    answer(as_json, {"origin": origin, "key": str(secret), "vkeys": vkeys}, "\n".join(vkeys))


@click.command()
@click.argument("name", metavar="NAME|ORIGIN")
@click.option("--kind", type=click.Choice(["register", "opaque"]), default="register", show_default=True)
@click.option("--salted", is_flag=True, help="Salt each item, so that an erased one cannot be guessed from its hash.")
@click.option("--mldsa", is_flag=True, help="Sign with ML-DSA-44 too, against quantum computers.")
@client_options
def create(name: str, kind: LogKind, salted: bool, mldsa: bool, target: Target, as_json: bool) -> None:
    """Make an empty log. Asking again for the same log changes nothing.

    With --dir, its key is made here and its origin is DOMAIN/NAME unless an origin is given. A mint elsewhere must hold
    the key already (mintmark keygen): give its public half with --vkey.
    """
    log = target.log(name) if target.is_elsewhere else _adopted(target, name, mldsa, kind)
    head = run(_create(target, log, kind, salted))
    vkeys = [verifier.vkey for verifier in log.verifiers]
    answer(as_json, {"origin": log.origin, "size": head.size, "vkeys": vkeys}, "\n".join(vkeys))


def _adopted(target: Target, name: str, mldsa: bool, kind: LogKind) -> TrustedLog:
    """The log whose keys are in the directory of an `up`, or are made there."""
    origin = name if "/" in name else f"{target.deployment.addresses().domain}/{name}"
    return TrustedLog(origin, target.deployment.adopt(origin, mldsa, kind))


async def _create(target: Target, log: TrustedLog, kind: LogKind, salted: bool) -> Checkpoint:
    async with target.client(log) as client:
        return await client.log(log.origin).create(kind, salted=salted)
