"""`mintmark status` and `mintmark resume`: the state of every mirrored log, by the read database alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mintmark.cli import exits
from mintmark.cli.options import settings_options
from mintmark.cli.output import answer, run

if TYPE_CHECKING:
    from mintmark.config.settings import MirrorSettings
    from mintmark.store.log.model import Log
    from mintmark.store.mirror.model import Heartbeat, LogStatus
    from mintmark.store.mirror.withheld import WithheldItem

TABLE_HEADER = ("log", "state", "verified", "head", "lag", "seconds", "source", "worker", "last error")
Value = str | int | float | None


@click.command()
@settings_options
def status(settings: MirrorSettings, as_json: bool) -> int:
    """Show how far each log is verified, how far behind it is, by whom it is followed, and what went wrong last.

    Exit 3 when a log was contradicted and nobody has decided since; `mintmark evidence NAME` says by what.
    """
    logs, beats = run(_read(settings.database))
    described = [_describe(log) for log in logs]
    sources = [{"worker": b.worker, "source": b.source, "error": b.error, "at": b.at.isoformat()} for b in beats]
    answer(as_json, {"logs": described, "sources": sources}, "\n".join((*_table(described), *map(_line, beats))))
    return exits.LIED if any(log.contradictions for log in logs) else exits.OK


async def _read(database: str) -> tuple[list[LogStatus], list[Heartbeat]]:
    from mintmark.cli.databases import read_store

    async with read_store(database) as store:
        return await store.status.of_logs(), await store.leases.beats()


def _describe(log: LogStatus) -> dict[str, Value]:
    """A log for a machine. `lag`: entries behind the largest signed head known; `lag_seconds`: since that was known."""
    lag = max(log.offered - log.head, 0)
    states = {"stopped": log.stopped is not None, "contradicted": log.contradictions > 0, "behind": lag > 0}
    return {
        "origin": log.origin,
        "name": log.name,
        "kind": log.kind,
        "state": next((state for state, holds in states.items() if holds), "current"),
        "verified": log.size,
        "head": log.head,
        "known": log.offered,
        "lag": lag,
        "lag_seconds": round(log.late, 1) if lag else 0.0,
        "head_at": log.head_at.isoformat() if log.head_at else None,
        "quiet_seconds": round(log.quiet, 1),
        "source": log.source,
        "worker": log.worker,
        "error": log.stopped or log.error,
    }


def _table(logs: list[dict[str, Value]]) -> list[str]:
    keys = ("origin", "state", "verified", "head", "lag", "lag_seconds", "source", "worker", "error")
    rows = [TABLE_HEADER, *(tuple("" if log[key] is None else str(log[key]) for key in keys) for log in logs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _line(beat: Heartbeat) -> str:
    return f"{beat.worker} hears {beat.source}: {beat.error or 'its stream is open'}"


@click.command()
@click.argument("name")
@settings_options
def resume(name: str, settings: MirrorSettings, as_json: bool) -> None:
    """Follow the log NAME again, and ask the sources again that contradicted it.

    The evidence is kept. Nothing that was verified is given up: a source that still contradicts it stops the log again.
    """
    log, resumed, lacking = run(_resume(settings.database, name))
    state = "is followed again" if resumed else "was not stopped"
    waits = f"; {lacking}: it is shown once a source has it" if lacking is not None else ""
    answer(as_json, {"origin": log.origin, "resumed": resumed}, f"{log.origin} {state}{waits}")


async def _resume(database: str, name: str) -> tuple[Log, bool, WithheldItem | None]:
    from mintmark.cli.databases import named_log, read_store

    async with read_store(database) as store:
        log = await named_log(store, name)
        return log, await store.evidence.resume(log.id), await store.withheld.first(log.id)
