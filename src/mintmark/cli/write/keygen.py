"""`mintmark keygen`."""

from __future__ import annotations

from pathlib import Path

import click

from mintmark.cli.options import json_option
from mintmark.cli.output import answer


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

    signers = (make_cosigner(origin, mldsa),) if cosigner else make_keys(origin, mldsa)
    secret = out / f"{origin.rsplit('/', 1)[-1]}.key"
    write_keys(secret, signers)
    vkeys = [signer.vkey for signer in signers]
    answer(as_json, {"origin": origin, "key": str(secret), "vkeys": vkeys}, "\n".join(vkeys))
