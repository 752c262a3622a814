"""`mintmark watch`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, echo, run
from mintmark.cli.read.checkpoint import describe
from mintmark.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mintmark.cli.options import Target, TrustedLog
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import LogVerifier

BACKOFF_FIRST, BACKOFF_MAX = 0.5, 10.0  # seconds, while the server is away


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@client_options
def watch(names: tuple[str, ...], where: Target, as_json: bool) -> None:
    """Print each new head of the logs NAME... as it is signed, once it is proven to follow from the one before.

    Waits through an outage of the server; ends at the first head that contradicts an earlier one (exit 3).
    """
    run(_watch(where, [where.log(name) for name in names], as_json))


async def _watch(where: Target, logs: list[TrustedLog], as_json: bool) -> None:
    from mintmark.aio import Backoff
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.trust import LogVerifier

    watched = {log.origin: LogVerifier(log.origin, log.verifiers, None, Edge()) for log in logs}
    backoff = Backoff(BACKOFF_FIRST, BACKOFF_MAX)
    async with where.client() as client:
        while True:
            try:
                async for head in _heads(client, watched):
                    backoff.reset()
                    answer(as_json, describe(head), f"{head.origin} {head.size} {head.root.hex()}")
            except Unavailable as error:
                delay = backoff.next()
                echo(f"{error}; trying again in {delay:.1f} s")
                await asyncio.sleep(delay)
            else:
                await asyncio.sleep(backoff.next())


async def _heads(client: RpcClient, watched: dict[str, LogVerifier]) -> AsyncIterator[Checkpoint]:
    """Heads that moved, verified."""
    from mintmark.client.download import accept

    async for seen in client.watch(list(watched)):
        if (trusted := watched.get(seen.origin)) is not None:
            before = trusted.head
            head = await accept(client, trusted, seen.note)
            if before is None or head.size > before.size:
                yield head
