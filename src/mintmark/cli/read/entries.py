"""`mintmark entries`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import run

if TYPE_CHECKING:
    from mintmark.cli.options import Target, TrustedLog


@click.command()
@click.argument("name")
@click.option("--start", type=click.IntRange(min=0), default=0, help="The first index (default 0).")
@click.option("--end", type=click.IntRange(min=0), help="The index to stop before (default: the head).")
@client_options
def entries(name: str, start: int, end: int | None, where: Target, as_json: bool) -> None:
    """Print entries [start, end) of the log NAME, each verified against its signed head."""
    if end is not None and end < start:
        raise click.UsageError("--end is not before --start")
    run(_entries(where, where.log(name), start, end, as_json))


async def _entries(where: Target, log: TrustedLog, start: int, end: int | None, as_json: bool) -> None:
    from mintmark.cli.read import rows
    from mintmark.client import download

    format_lines = rows.json_lines if as_json else rows.text_lines
    async with where.client() as client:
        head = await download.get_head(client, log)
        end = download.check_range(start, end, head)
        trusted = await download.begin(client, log, head, start)
        async for chunk in download.get_chunks(client, trusted, end):
            skipped = max(0, start - chunk.start)
            sys.stdout.buffer.writelines(list(format_lines(chunk))[skipped : end - chunk.start])
            sys.stdout.buffer.flush()
