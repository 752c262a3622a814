"""`mintmark evidence`: what contradicted a log, in a form that others can check with the log's key alone.

    notes    the signed notes, as received, oldest first
    tree     where the notes are of different sizes: the larger tree's root at the smaller size, and the proof of that

Two trees of one size, both signed, convict the log by themselves. Two of different sizes do with `tree`: the larger is
proven to begin with another tree than the one that was signed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli.operate.read_database import lazy_options, named_log, read_store, trusted_keys
from mintmark.cli.options import vkey_option
from mintmark.cli.output import answer, run
from mintmark.errors import Malformed, Misconfigured, NotFound, ProofError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.cli.operate.read_database import Load
    from mintmark.config.settings import MirrorSettings
    from mintmark.store.mirror.model import Evidence
    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.note import Verifier


@click.command()
@click.argument("name")
@lazy_options
@click.option(
    "--check", "file", type=click.Path(path_type=Path, exists=True), help="Check such a file offline instead."
)
@vkey_option
def evidence(name: str, load: Load, file: Path | None, vkeys: tuple[str, ...], as_json: bool) -> None:
    """Print what contradicted the log NAME, for others to check.

    With --check FILE, check what --json printed, by the log's key; exit 0 when it convicts the log, 3 when it does not.
    """
    if file is not None:
        said = check(file.read_bytes(), _verifiers(vkeys, load, name))
        answer(as_json, {"convicts": True, "because": said}, "\n".join(said))
        return
    found = run(_read(load(), name))
    if not found["evidence"]:
        raise NotFound(f"nothing has contradicted {found['origin']}")
    answer(as_json, found, "\n\n".join(map(_text, found["evidence"])))


def _verifiers(vkeys: tuple[str, ...], load: Load, name: str) -> list[Verifier]:
    from mintmark.cli.options import key_argument
    from mintmark.config.key_files import read_vkeys

    if vkeys:
        return [verifier for key in vkeys for verifier in key_argument(key)]
    try:
        return list(read_vkeys(load().trust / f"{name.rsplit('/', 1)[-1]}.vkey"))
    except (Misconfigured, Unavailable) as error:
        raise Misconfigured(f"{error}, or give the log's key with --vkey") from error


async def _read(settings: MirrorSettings, name: str) -> dict[str, Any]:
    async with read_store(settings.database) as store:
        log = await named_log(store, name)
        kept = [await _describe(store, log.id, piece) for piece in await store.evidence.evidence(log.id)]
        return {"origin": log.origin, "vkeys": trusted_keys(settings, log), "evidence": kept}


async def _describe(store: ReadStore, log: int, piece: Evidence) -> dict[str, Any]:
    found = {
        "id": piece.id,
        "error": piece.kind,
        "message": piece.reason,
        "source": piece.source,
        "at": piece.at.isoformat(),
        "resumed": piece.resumed.isoformat() if piece.resumed else None,
        "notes": [note.decode("utf-8", "backslashreplace") for note in piece.notes],
    }
    return found | ({"tree": tree} if (tree := await _tree(store, log, piece.notes)) else {})


async def _tree(store: ReadStore, log: int, notes: Sequence[bytes]) -> dict[str, Any] | None:
    """What our own copy of the larger tree says about the smaller size, where it holds all of it."""
    from mintmark.tlog import prove
    from mintmark.tlog.checkpoint import parse_tree_head
    from mintmark.tlog.note import parse_note

    try:
        small, large = sorted((parse_tree_head(parse_note(note)[0]) for note in notes), key=lambda head: head.size)
    except ValueError:  # not two, or not notes
        return None
    if not 0 < small.size < large.size <= (await store.head(log)).size:
        return None
    spans, whole = prove.consistency_spans(small.size, large.size), [(0, small.size)]
    tiles = await store.tiles(log, prove.needed([*spans, *whole]))
    proof, (root,) = prove.prove(spans, tiles), prove.prove(whole, tiles)
    return {"size": small.size, "root": root.hex(), "proof": [step.hex() for step in proof]}


def check(document: bytes, verifiers: Sequence[Verifier]) -> list[str]:
    """What a document of this command proves against the log of these keys.

    Raises:
        ProofError: nothing. Malformed: no such document. BadSignature: the log did not sign its notes.
    """
    said = []
    try:
        found = json.loads(document)
        for piece in found["evidence"]:
            if len(notes := [note.encode() for note in piece["notes"]]) == 2 and piece["error"] == "Fork":
                small, large = _opened(notes, found["origin"], verifiers)
                if reason := _convicted(small, large, piece.get("tree")):
                    said.append(reason)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Malformed(f"this is not what `mintmark evidence --json` prints: {error}") from error
    if not said:
        raise ProofError("these notes do not contradict one another: they show what a source did, not the log")
    return said


def _opened(notes: Sequence[bytes], origin: str, verifiers: Sequence[Verifier]) -> list[Checkpoint]:
    from mintmark.tlog.checkpoint import open_checkpoint

    return sorted((open_checkpoint(note, origin, verifiers) for note in notes), key=lambda head: head.size)


def _convicted(small: Checkpoint, large: Checkpoint, tree: dict[str, Any] | None) -> str | None:
    from mintmark.tlog.merkle import check_consistency

    if small.size == large.size:
        return f"{small.origin} signed two trees of {small.size} entries" if small.root != large.root else None
    if tree is None:
        return None
    root, proof = bytes.fromhex(tree["root"]), [bytes.fromhex(step) for step in tree["proof"]]
    check_consistency(small.size, root, large.size, large.root, proof)
    if root == small.root:
        return None
    return f"{small.origin} signed a tree of {large.size} entries that does not begin with the {small.size} it signed"


def _text(piece: dict[str, Any]) -> str:
    resumed = f", resumed {piece['resumed']}" if piece["resumed"] else ""
    head = f"{piece['error']}, shown by {piece['source']} at {piece['at']}{resumed}\n{piece['message']}\n"
    return head + "".join(f"\n{note}" for note in piece["notes"])
