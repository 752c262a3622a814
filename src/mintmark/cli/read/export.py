"""`mintmark export`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import progress, run
from mintmark.files import durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from mintmark.cli.options import Target, TrustedLog
    from mintmark.tlog.trust import VerifiedChunk


@click.command()
@click.argument("name")
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "rsf", "csv", "tsv"]), default="jsonl", show_default=True
)
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write (default: stdout).")
@client_options
def export(name: str, format_: str, out: Path | None, where: Target, as_json: bool) -> None:
    """Write the log NAME, each entry verified on the way. A file appears only when all of it held.

    jsonl and rsf hold every entry; csv and tsv, the records that stand. Only jsonl can say everything: the end of a
    record, an erasure, the entries of an opaque log.
    """
    log = where.log(name)
    stdout = nullcontext(sys.stdout.buffer)
    destination: AbstractContextManager[BinaryIO] = stdout if out is None else durable(out)
    with destination as stream:
        run(_export(where, log, format_, stream, as_json))


async def _export(where: Target, log: TrustedLog, format_: str, stream: BinaryIO, as_json: bool) -> None:
    from mintmark.client import download, export

    async with where.client() as client:
        head = await download.get_head(client, log)
        trusted = await download.begin(client, log, head)
        with progress(f"exporting {log.origin}", head.size, as_json) as step:

            async def chunks() -> AsyncIterator[VerifiedChunk]:
                async for chunk in download.get_chunks(client, trusted, head.size):
                    yield chunk
                    step(chunk.end - chunk.start)

            await export.WRITERS[format_](chunks(), stream)
    stream.flush()
