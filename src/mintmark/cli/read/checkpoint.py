"""`mintmark checkpoint`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, run

if TYPE_CHECKING:
    from mintmark.cli.options import Target, TrustedLog
    from mintmark.tlog.checkpoint import Checkpoint


@click.command()
@click.argument("name")
@click.option("--raw", is_flag=True, help="Print the signed note, byte for byte.")
@client_options
def checkpoint(name: str, raw: bool, where: Target, as_json: bool) -> None:
    """Print the verified signed head of the log NAME."""
    head = run(_head(where, where.log(name)))
    if raw:
        sys.stdout.buffer.write(head.note)
        return
    answer(as_json, describe(head), f"{head.origin}\nsize {head.size}\nroot {head.root.hex()}")


async def _head(where: Target, log: TrustedLog) -> Checkpoint:
    from mintmark.client.download import get_head

    async with where.client() as client:
        return await get_head(client, log)


def describe(head: Checkpoint) -> dict[str, object]:
    """A verified head for a machine."""
    return {"origin": head.origin, "size": head.size, "root": head.root.hex(), "note": head.note.decode()}
