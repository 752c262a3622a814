"""`mintmark evidence`: prints what contradicted a log, as documents that others check with the log's key alone.

The format of a document, and its check, are in `client.evidence`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli.exits import decode_notes
from mintmark.cli.options import lazy_settings_options, vkey_option
from mintmark.cli.output import answer, run
from mintmark.errors import Misconfigured, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.cli.options import LoadSettings
    from mintmark.client.keys import TrustedLog
    from mintmark.config.settings import MirrorSettings
    from mintmark.store.mirror.model import Evidence
    from mintmark.store.mirror.read_store import ReadStore


@click.command()
@click.argument("name")
@lazy_settings_options
@click.option(
    "--check",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Check such a file offline instead.",
)
@vkey_option
def evidence(name: str, load_settings: LoadSettings, file: Path | None, vkeys: tuple[str, ...], as_json: bool) -> None:
    """Print what contradicted the log NAME, for others to check.

    With --check FILE, check by the log's key what --json printed, here or in another command, or what an audit wrote;
    exit 0 when it convicts the log, 3 when it does not.
    """
    if file is not None:
        from mintmark.client.evidence import check_evidence

        log = _trusted(vkeys, load_settings, name)
        reasons = check_evidence(file.read_bytes(), log.origin, log.verifiers)
        answer(as_json, {"convicts": True, "because": reasons}, "\n".join(reasons))
        return
    found = run(_read(load_settings(), name))
    if not found["evidence"]:
        raise NotFound(f"nothing has contradicted {found['origin']}")
    answer(as_json, found, "\n\n".join(map(_text, found["evidence"])))


def _trusted(vkeys: tuple[str, ...], load_settings: LoadSettings, name: str) -> TrustedLog:
    from mintmark.client.keys import KeyRing

    if vkeys:
        return KeyRing(vkeys).log(name)
    try:
        return KeyRing(directories=[load_settings().trust]).log(name)
    except (Misconfigured, Unavailable) as error:
        raise Misconfigured(f"{error}, or give the log's key with --vkey") from error


async def _read(settings: MirrorSettings, name: str) -> dict[str, Any]:
    from mintmark.cli.databases import named_log, read_store, trusted_keys

    async with read_store(settings.database) as store:
        log = await named_log(store, name)
        kept = [await _describe(store, log.id, piece) for piece in await store.evidence.of_log(log.id)]
        return {"origin": log.origin, "vkeys": trusted_keys(settings, log), "evidence": kept}


async def _describe(store: ReadStore, log: int, piece: Evidence) -> dict[str, Any]:
    found = {
        "id": piece.id,
        "error": piece.kind,
        "message": piece.reason,
        "source": piece.source,
        "at": piece.at.isoformat(),
        "resumed": piece.resumed.isoformat() if piece.resumed else None,
        "notes": decode_notes(piece.notes),
    }
    return found | ({"tree": tree} if (tree := await _tree(store, log, piece.notes)) else {})


async def _tree(store: ReadStore, log: int, notes: Sequence[bytes]) -> dict[str, Any] | None:
    """The `tree` of a piece, by our own copy of the larger tree, where that holds all of it."""
    from mintmark.client.evidence import format_tree, sizes_to_prove
    from mintmark.tlog import prove

    sizes = sizes_to_prove(notes)
    if sizes is None or sizes[1] > (await store.head(log)).size:
        return None
    small, large = sizes
    spans, whole = prove.consistency_spans(small, large), [(0, small)]
    tiles = await store.tiles(log, prove.needed([*spans, *whole]))
    return format_tree(small, prove.prove(whole, tiles)[0], prove.prove(spans, tiles))


def _text(piece: dict[str, Any]) -> str:
    resumed = f", resumed {piece['resumed']}" if piece["resumed"] else ""
    head = f"{piece['error']}, shown by {piece['source']} at {piece['at']}{resumed}\n{piece['message']}\n"
    return head + "".join(f"\n{note}" for note in piece["notes"])
