"""`mintmark audit`: a log that has been looked at once cannot change its past unseen.

The state file is the last signed note that was verified, nothing else; it is replaced, durably, only after all checks
of an audit passed. A contradiction leaves it as it was, and writes the notes that show it to a file beside it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, run, state_directory
from mintmark.cli.read.checkpoint import describe
from mintmark.errors import BadSignature, Malformed, Misconfigured, Untrusted
from mintmark.files import write_durably

if TYPE_CHECKING:
    from mintmark.cli.options import Target, TrustedLog
    from mintmark.tlog.checkpoint import Checkpoint


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
def audit(name: str, state: Path | None, full: bool, second_opinion: bool, where: Target, as_json: bool) -> None:
    """Prove that the log NAME has only grown since the last audit. Exit 3 when it lied; the evidence is kept."""
    log = where.log(name)
    state = state or _default_state(where, log)
    before = _remembered(state, log)
    try:
        head = run(_audit(where, log, before, full or second_opinion, second_opinion, as_json))
    except Untrusted as error:
        raise type(error)(f"{error}; the evidence is in {_keep(state, log, error)}", *error.notes) from error
    write_durably(state, head.note)
    since = f", which follows from size {before.size}" if before else ", the first seen"
    checked = "; every entry and item was checked" if full or second_opinion else ""
    result = describe(head) | {
        "before": before.size if before else None,
        "full": full or second_opinion,
        "state": str(state),
    }
    answer(as_json, result, f"{log.origin}: size {head.size}{since}{checked}")


def _default_state(where: Target, log: TrustedLog) -> Path:
    """Beside the `up` that is asked; for a server elsewhere, in the user's state directory, a file for each key."""
    if not where.grpc_option:
        return where.place.dir / "audit" / f"{log.name}.checkpoint"
    name = f"{quote(log.origin, safe='')}+{log.verifiers[0].key_id.hex()}.checkpoint"
    return state_directory() / "audit" / name


def _remembered(state: Path, log: TrustedLog) -> Checkpoint | None:
    from mintmark.tlog.checkpoint import open_checkpoint

    try:
        return open_checkpoint(state.read_bytes(), log.origin, log.verifiers)
    except FileNotFoundError:
        return None
    except (Malformed, BadSignature) as error:
        raise Misconfigured(
            f"{state} is not a head that {log.origin} signed ({error}); name another with --state"
        ) from error


def _keep(state: Path, log: TrustedLog, error: Untrusted) -> Path:
    """Writes what contradicts what, so that others can check it with the keys alone."""
    evidence = {
        "error": type(error).__name__,
        "message": str(error),
        "origin": log.origin,
        "vkeys": [verifier.vkey for verifier in log.verifiers],
        "notes": [note.decode("utf-8", "backslashreplace") for note in error.notes],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    file = state.with_name(f"{state.name}.evidence-{stamp}.json")
    write_durably(file, json.dumps(evidence, indent=1, ensure_ascii=False).encode() + b"\n")
    return file


async def _audit(
    where: Target, log: TrustedLog, before: Checkpoint | None, full: bool, second_opinion: bool, as_json: bool
) -> Checkpoint:
    from mintmark.client.download import accept
    from mintmark.client.full_audit import read_all, second_tree
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.trust import LogVerifier

    oracle = second_tree() if second_opinion else None
    async with where.client() as client:
        trusted = LogVerifier(log.origin, log.verifiers, before, Edge())
        head = await accept(client, trusted, await client.checkpoint(log.origin))
        if full:
            await read_all(client, trusted, head, oracle, as_json)
    return head
