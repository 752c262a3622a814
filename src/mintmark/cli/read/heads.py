"""`mintmark checkpoint`, `watch` and `audit`: signed heads, and that each follows from the one before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, describe_head, echo, progress_to, run, state_directory

if TYPE_CHECKING:
    from mintmark.cli.options import Target
    from mintmark.client.audit import AuditReport
    from mintmark.client.keys import TrustedLog
    from mintmark.errors import Unavailable
    from mintmark.tlog.checkpoint import Checkpoint


@click.command()
@click.argument("name")
@click.option("--raw", is_flag=True, help="Print the signed note, byte for byte.")
@client_options
def checkpoint(name: str, raw: bool, target: Target, as_json: bool) -> None:
    """Print the verified signed head of the log NAME."""
    head = run(_checkpoint(target, target.log(name)))
    if raw:
        sys.stdout.buffer.write(head.note)
        return
    answer(as_json, describe_head(head), f"{head.origin}\nsize {head.size}\nroot {head.root.hex()}")


async def _checkpoint(target: Target, log: TrustedLog) -> Checkpoint:
    async with target.client(log) as client:
        return await client.log(log.origin).checkpoint()


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@client_options
def watch(names: tuple[str, ...], target: Target, as_json: bool) -> None:
    """Print each new head of the logs NAME... as it is signed, once it is proven to follow from the one before.

    Waits through an outage of the server; ends at the first head that contradicts an earlier one (exit 3).
    """
    run(_watch(target, [target.log(name) for name in names], as_json))


async def _watch(target: Target, logs: list[TrustedLog], as_json: bool) -> None:
    async with target.client(*logs) as client:
        async for head in client.follow(*(log.origin for log in logs), on_outage=_echo_outage):
            answer(as_json, describe_head(head), f"{head.origin} {head.size} {head.root.hex()}")


def _echo_outage(error: Unavailable, pause: float) -> None:
    echo(f"{error}; trying again in {pause:.1f} s")


@click.command()
@click.argument("name")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that remembers the last head (default: one a log).",
)
@click.option("--full", is_flag=True, help="Download every entry, recompute the root, check every item.")
@click.option("--second-opinion", is_flag=True, help="Have pymerkle recompute the root too (implies --full).")
@client_options
def audit(name: str, state: Path | None, full: bool, second_opinion: bool, target: Target, as_json: bool) -> None:
    """Prove that the log NAME has only grown since the last audit. Exit 3 when it lied; the evidence is kept."""
    log = target.log(name)
    state = state or _default_state(target, log)
    head, before, full = run(_audit(target, log, state, full, second_opinion, as_json))
    result = describe_head(head) | {"before": before.size if before else None, "full": full, "state": str(state)}
    since = f", which follows from size {before.size}" if before else ", the first seen"
    checked = "; every entry and item was checked" if full else ""
    answer(as_json, result, f"{log.origin}: size {head.size}{since}{checked}")


def _default_state(target: Target, log: TrustedLog) -> Path:
    """In the directory of the `up`; for a server elsewhere, in the user's state directory, a file for each key."""
    if not target.is_elsewhere:
        return target.deployment.dir / "audit" / f"{log.name}.checkpoint"
    name = f"{quote(log.origin, safe='')}+{log.verifiers[0].key_id.hex()}.checkpoint"
    return state_directory() / "audit" / name


async def _audit(
    target: Target, log: TrustedLog, state: Path, full: bool, second_opinion: bool, as_json: bool
) -> AuditReport:
    async with target.client(log) as client:
        with progress_to(f"auditing {log.origin}", as_json) as step:
            return await client.log(log.origin).audit(state, full, second_opinion=second_opinion, step=step)
