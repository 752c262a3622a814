"""`mintmark entries` and `mintmark export`: verified entries, printed or written to a file."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import echo, progress_to, run
from mintmark.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mintmark.cli.options import Target
    from mintmark.client.keys import TrustedLog
    from mintmark.register.entry import Row
    from mintmark.tlog.trust import VerifiedChunk


@click.command()
@click.argument("name")
@click.option("--start", type=click.IntRange(min=0), default=0, help="The first index (default 0).")
@click.option("--end", type=click.IntRange(min=0), help="The index to stop before (default: the head).")
@client_options
def entries(name: str, start: int, end: int | None, target: Target, as_json: bool) -> None:
    """Print entries [start, end) of the log NAME, each verified against its signed head."""
    if end is not None and end < start:
        raise click.UsageError("--end is not before --start")
    run(_entries(target, target.log(name), start, end, as_json))


async def _entries(target: Target, log: TrustedLog, start: int, end: int | None, as_json: bool) -> None:
    from mintmark.client.export import json_lines

    format_lines = json_lines if as_json else _text_lines
    async with target.client(log) as client:
        async for chunk in client.log(log.origin).chunks(start, end):
            lines = list(format_lines(chunk))[max(0, start - chunk.start) :]
            sys.stdout.buffer.writelines(lines if end is None else lines[: end - max(start, chunk.start)])
            sys.stdout.buffer.flush()


def _text_lines(chunk: VerifiedChunk) -> Iterator[bytes]:
    """The new entries of a chunk as columns for the eye."""
    from mintmark.client.export import numbered_rows

    for index, leaf, row in numbered_rows(chunk):
        if row is None or row.entry is None:
            yield b"%d\t%b\n" % (index, _printable(leaf))
        else:
            entry, item = row.entry, row.item or _absence(row)
            yield b"%d\t%b\t%b\n" % (index, "\t".join((entry.timestamp, entry.type, entry.key)).encode(), item)


def _absence(row: Row) -> bytes:
    """Why an entry has no item here."""
    if row.unreadable is not None:
        return b"(unreadable) " + _printable(row.unreadable)
    return b"(erased)" if row.missing else b"(ended)"


def _printable(data: bytes) -> bytes:
    return data if data.isascii() and data.decode().isprintable() else data.hex().encode()


@click.command()
@click.argument("name")
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "rsf", "csv", "tsv"]), default="jsonl", show_default=True
)
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write (default: stdout).")
@client_options
def export(name: str, format_: str, out: Path | None, target: Target, as_json: bool) -> None:
    """Write the log NAME, each entry verified on the way. A file appears only when all of it held.

    jsonl and rsf hold every entry; csv and tsv, the records that stand. Only jsonl can say everything: the end of a
    record, an erasure, the entries of an opaque log.
    """
    log = target.log(name)
    stdout = nullcontext(sys.stdout.buffer)
    destination: AbstractContextManager[BinaryIO] = stdout if out is None else durable(out)
    with destination as stream:
        for warning in run(_export(target, log, format_, stream, as_json)):
            echo(warning)


async def _export(target: Target, log: TrustedLog, format_: str, stream: BinaryIO, as_json: bool) -> list[str]:
    async with target.client(log) as client:
        with progress_to(f"exporting {log.origin}", as_json) as step:
            warnings = await client.log(log.origin).export(format_, stream, step)
    stream.flush()
    return warnings
