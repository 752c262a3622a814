"""`mintmark import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, echo, progress, run

if TYPE_CHECKING:
    from mintmark.cli.options import Target, TrustedLog
    from mintmark.client.upload import Imported

FORMATS = ("rsf", "csv", "tsv", "jsonl")
SHOWN = 10  # warnings printed in full


@click.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--format", "format_", type=click.Choice(FORMATS), help="The file's format (default: from its suffix).")
@click.option("--legacy", is_flag=True, help="Admit, and report, the known faults of old RSF data.")
@client_options
def import_(name: str, file: Path, format_: str | None, legacy: bool, where: Target, as_json: bool) -> None:
    """Append FILE to the register NAME: all of it or, if one line is bad, nothing.

    An import that was cut off is run again: what is in the log already is not appended twice. Of a table, that are the
    rows that their records say last.
    """
    format_ = format_ or file.suffix.removeprefix(".").lower()
    if format_ not in FORMATS:
        raise click.UsageError(f"{file} does not say what it is; add --format {'|'.join(FORMATS)}")
    if legacy and format_ != "rsf":
        raise click.UsageError("--legacy is for RSF files")
    log = where.log(name, to_write=True)
    (appended, present, head), warnings = run(_import(where, log, file, format_, legacy, as_json))
    tell_warnings(warnings)
    result = {
        "origin": log.origin,
        "appended": appended,
        "present": present,
        "size": head.size,
        "root": head.root.hex(),
        "warnings": warnings,
    }
    there = f", {present} were there already" if present else ""
    answer(as_json, result, f"{appended} entries appended to {log.origin}{there}; it is of size {head.size} now")


async def _import(
    where: Target, log: TrustedLog, file: Path, format_: str, legacy: bool, as_json: bool
) -> tuple[Imported, list[str]]:
    async with where.client() as client:
        if format_ != "rsf":
            from mintmark.client.table_import import append_table

            with progress(f"importing {file.name}", None, as_json) as step:
                return await append_table(client, log, file, format_, step=step), []
        from mintmark.client.rsf_import import append_file, check_file

        checked = check_file(file, legacy=legacy)
        with progress(f"importing {file.name}", len(checked.rows), as_json) as step:
            return await append_file(client, log, checked, legacy=legacy, step=step), list(checked.warnings)


def tell_warnings(warnings: list[str]) -> None:
    """What the legacy mode admitted, the first few in full."""
    for warning in warnings[:SHOWN]:
        echo(f"admitted: {warning}")
    if len(warnings) > SHOWN:
        echo(f"admitted: {len(warnings) - SHOWN} more like these")
