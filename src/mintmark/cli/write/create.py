"""`mintmark create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mintmark.cli.options import TrustedLog, client_options
from mintmark.cli.output import answer, run

if TYPE_CHECKING:
    from mintmark.cli.options import Target
    from mintmark.tlog.checkpoint import Checkpoint


@click.command()
@click.argument("name", metavar="NAME|ORIGIN")
@click.option("--kind", type=click.Choice(["register", "opaque"]), default="register", show_default=True)
@click.option("--salted", is_flag=True, help="Salt each item, so that an erased one cannot be guessed from its hash.")
@click.option("--mldsa", is_flag=True, help="Sign with ML-DSA-44 too, against quantum computers.")
@client_options
def create(name: str, kind: str, salted: bool, mldsa: bool, where: Target, as_json: bool) -> None:
    """Make an empty log. Asking again for the same log changes nothing.

    With --dir, its key is made here and its origin is DOMAIN/NAME unless an origin is given. A mint elsewhere must hold
    the key already (mintmark keygen): give its public half with --vkey.
    """
    log = where.log(name) if where.grpc_option else _adopted(where, name, mldsa)
    head = run(_create(where, log, kind, salted))
    vkeys = [verifier.vkey for verifier in log.verifiers]
    answer(as_json, {"origin": log.origin, "size": head.size, "vkeys": vkeys}, "\n".join(vkeys))


def _adopted(where: Target, name: str, mldsa: bool) -> TrustedLog:
    origin = name if "/" in name else f"{where.place.addresses().domain}/{name}"
    return TrustedLog(origin, where.place.adopt(origin, mldsa))


async def _create(where: Target, log: TrustedLog, kind: str, salted: bool) -> Checkpoint:
    from mintmark.client.download import strictly
    from mintmark.tlog.checkpoint import open_checkpoint

    async with where.client() as client:
        note = await client.create(log.origin, kind, salted=salted)
    with strictly():
        return open_checkpoint(note, log.origin, log.verifiers)
