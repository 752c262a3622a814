"""`mintmark status` and `mintmark resume`: the state of every mirrored log, by the read database alone."""

from __future__ import annotations

from datetime import UTC
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

    A log is current or behind while a source says which head is the newest, and unknown since its last word. Exit 4
    when a log is unknown; 3 when one was contradicted and nobody has decided since; `mintmark evidence NAME` says by
    what.
    """
    logs, beats = run(_read(settings.database))
    described = [_describe(log) for log in logs]
    sources = [_source(beat) for beat in beats]
    answer(as_json, {"logs": described, "sources": sources}, "\n".join((*_table(described), *map(_line, beats))))
    if any(log.contradictions or log.stopped is not None for log in logs):
        return exits.LIED
    return exits.OK if all(log.fresh for log in logs) else exits.NOT_YET


async def _read(database: str) -> tuple[list[LogStatus], list[Heartbeat]]:
    from mintmark.cli.databases import read_store

    async with read_store(database) as store:
        return await store.status.of_logs(), await store.leases.beats()


def _describe(log: LogStatus) -> dict[str, Value]:
    """A log for a machine. `lag`: entries behind the largest signed head known; `lag_seconds`: since that was known.
    Both are null where no source says that there is no larger one.
    """
    lag = max(log.offered - log.head, 0)
    return {
        "origin": log.origin,
        "name": log.name,
        "kind": log.kind,
        "state": _state(log, lag),
        "verified": log.size,
        "head": log.head,
        "known": log.offered,
        "lag": lag if log.fresh else None,
        "lag_seconds": (round(log.late, 1) if lag else 0.0) if log.fresh else None,
        "confirmed_at": log.confirmed.astimezone(UTC).isoformat(),
        "head_at": log.head_at.isoformat() if log.head_at else None,
        "quiet_seconds": round(log.quiet, 1),
        "source": log.source,
        "worker": log.worker,
        "error": log.stopped or log.error,
    }


def _state(log: LogStatus, lag: int) -> str:
    states = {"stopped": log.stopped is not None, "contradicted": log.contradictions > 0, "unknown": not log.fresh}
    return next((state for state, holds in states.items() if holds), "behind" if lag else "current")


def _source(beat: Heartbeat) -> dict[str, Value]:
    confirmed = beat.confirmed.astimezone(UTC).isoformat() if beat.confirmed else None
    at = beat.at.isoformat()
    return {"worker": beat.worker, "source": beat.source, "error": beat.error, "at": at, "confirmed_at": confirmed}


def _table(logs: list[dict[str, Value]]) -> list[str]:
    keys = ("origin", "state", "verified", "head", "lag", "lag_seconds", "source", "worker", "error")
    rows = [TABLE_HEADER, *(tuple("" if v is None else str(v) for v in map(_words(log).get, keys)) for log in logs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _words(log: dict[str, Value]) -> dict[str, Value]:
    """A log for a person: since when it is unknown stands with its state."""
    if log["state"] != "unknown":
        return log
    return log | {"state": f"unknown since {str(log['confirmed_at'])[:19]}Z"}


def _line(beat: Heartbeat) -> str:
    confirmed = (
        f", last confirmed at {beat.confirmed.astimezone(UTC):%H:%M:%S} UTC"
        if beat.confirmed
        else ", confirmed nothing"
    )
    return f"{beat.worker} hears {beat.source}: {beat.error or 'its stream is open'}{confirmed}"


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
