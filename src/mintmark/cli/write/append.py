"""`mintmark append` and `mintmark import`: a few entries, or all that a file has and the register has not.

`append` answers once the entries are durable and were read back from the signed tree.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, echo_admitted, progress, run
from mintmark.client.importing import FORMATS
from mintmark.errors import Malformed
from mintmark.files import read_stdin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from mintmark.cli.options import Target
    from mintmark.client.append import AppendedEntry
    from mintmark.client.client import AsyncClient
    from mintmark.client.importing import ImportResult
    from mintmark.client.keys import TrustedLog
    from mintmark.client.sending import AppendedBatch

    Call = Callable[[AsyncClient], AsyncIterator[AppendedBatch]]


@click.command()
@click.argument("name")
@click.argument("entries", nargs=-1, metavar="[ENTRY]...")
@click.option("--key", help="Append the record of this key, with --item.")
@click.option("--item", metavar="JSON", help="The record's item; - reads it from stdin.")
@click.option("--system", is_flag=True, help="The key is a definition's (name, custodian, field:…, register:…).")
@click.option("--tombstone", metavar="KEY", help="End the record of this key; a read API that is known must have it.")
@click.option("--erase", type=click.IntRange(min=0), metavar="INDEX", help="Erase the item of the entry at this index.")
@click.option("--reason", help="Why it is erased.")
@click.option("--authority", help="By whose authority it is erased.")
@client_options
def append(
    name: str, entries: tuple[str, ...], key: str | None, item: str | None, system: bool, tombstone: str | None,
    erase: int | None, reason: str | None, authority: str | None, target: Target, as_json: bool,
) -> None:  # fmt: skip
    """Append to the log NAME.

    \b
    An opaque log takes each ENTRY, or each line of stdin; more than a mint takes at once goes in batches, and each is
    printed once it is appended:
        mintmark append notes "first" "second"
    A register takes a record, the end of one, or an erasure:
        mintmark append country --key FR --item '{"country":"FR","name":"France"}'
        mintmark append country --tombstone DD
        mintmark append person --erase 41 --reason "asked for" --authority "court order 7"
    """
    if (key is None) != (item is None) or (erase is not None and not (reason and authority)):
        raise click.UsageError("--key goes with --item, and --erase with --reason and --authority")
    if sum((bool(entries), key is not None, tombstone is not None, erase is not None)) > 1:
        raise click.UsageError("append one thing at a time: entries, --key, --tombstone or --erase")
    log = target.log(name, to_write=True)
    if key is not None:
        call = _record(log, key, read_stdin() if item == "-" else os.fsencode(item or ""), system)
    elif tombstone is not None:
        call = _tombstone(log, tombstone)
    elif erase is not None:
        call = _erasure(log, erase, reason or "", authority or "")
    else:
        what, given = ("entry", [os.fsencode(each) for each in entries]) if entries else ("line", _stdin_lines())
        call = _opaque(log, given, what)
    run(_append(target, log, call, as_json))


def _record(log: TrustedLog, key: str, item: bytes, system: bool) -> Call:
    from mintmark.client.append import ItemDraft

    draft = ItemDraft(key, item, system)
    return lambda client: _as_batch(client.log(log.origin).append(draft))


def _tombstone(log: TrustedLog, key: str) -> Call:
    return lambda client: _as_batch(client.register(log.origin).end(key))


def _erasure(log: TrustedLog, index: int, reason: str, authority: str) -> Call:
    return lambda client: _as_batch(client.register(log.origin).erase(index, reason, authority))


def _opaque(log: TrustedLog, entries: Sequence[bytes], what: str) -> Call:
    """Raises Malformed for an entry that no log takes, before any is sent; `what` each is: an entry, a line."""
    from mintmark.client.sending import MAX_REQUEST_BYTES, MAX_REQUEST_ENTRIES, batches
    from mintmark.tlog.bundle import MAX_ENTRY_BYTES

    for number, entry in enumerate(entries, 1):
        if len(entry) > MAX_ENTRY_BYTES:
            raise Malformed(f"{what} {number} has {len(entry):,} bytes; an entry has at most {MAX_ENTRY_BYTES:,}")

    async def call(client: AsyncClient) -> AsyncIterator[AppendedBatch]:
        for _, batch in batches(entries, 0, lambda entry: len(entry) + 2, MAX_REQUEST_ENTRIES, MAX_REQUEST_BYTES):
            yield await client.log(log.origin).append_all(batch)

    return call


def _stdin_lines() -> list[bytes]:
    lines = read_stdin().removesuffix(b"\n").split(b"\n")
    if lines == [b""]:
        raise click.UsageError("nothing to append: give an ENTRY, lines on stdin, or --key with --item")
    return lines


async def _as_batch(appended: Awaitable[AppendedEntry]) -> AsyncIterator[AppendedBatch]:
    from mintmark.client.sending import AppendedBatch

    index, head = await appended
    yield AppendedBatch(index, 1, head)


async def _append(target: Target, log: TrustedLog, call: Call, as_json: bool) -> None:
    """Appends, and prints each batch as soon as it is appended: those before one that fails are in the log."""
    async with target.client(log) as client:
        async for first, count, head in call(client):
            result = {"origin": log.origin, "first": first, "count": count, "size": head.size, "root": head.root.hex()}
            what = "entry" if count == 1 else f"{count} entries from"
            answer(as_json, result, f"{what} {first} of {log.origin}, now of size {head.size}")


@click.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--format", "format_", type=click.Choice(FORMATS), help="The file's format (default: from its suffix).")
@click.option("--legacy", is_flag=True, help="Admit, and report, the known faults of old RSF data.")
@client_options
def import_(name: str, file: Path, format_: str | None, legacy: bool, target: Target, as_json: bool) -> None:
    """Append FILE (- is stdin) to the register NAME: all of it or, if one line is bad, nothing.

    An import that was cut off is run again: what the log holds already is not appended twice. It holds a row of a
    table where that is its record's last entry.
    """
    format_ = format_ or file.suffix.removeprefix(".").lower()
    if format_ not in FORMATS:
        raise click.UsageError(f"{file} does not say what it is; add --format {'|'.join(FORMATS)}")
    if legacy and format_ != "rsf":
        raise click.UsageError("--legacy is for RSF files")
    log = target.log(name, to_write=True)
    (appended, present, head), warnings = run(_import(target, log, file, format_, legacy, as_json))
    echo_admitted(warnings)
    result = {"origin": log.origin, "appended": appended, "present": present, "size": head.size}
    there = f", {present} were there already" if present else ""
    answer(
        as_json,
        result | {"root": head.root.hex(), "warnings": warnings},
        f"{appended} entries appended to {log.origin}{there}; it is of size {head.size} now",
    )


async def _import(
    target: Target, log: TrustedLog, file: Path, format_: str, legacy: bool, as_json: bool
) -> tuple[ImportResult, list[str]]:
    async with target.client(log) as client:
        register = client.register(log.origin)
        plan = await register.plan(file, format_, legacy=legacy)
        with progress(f"importing {file.name}", plan.count, as_json) as step:
            return await register.apply(plan, step), list(plan.warnings)
