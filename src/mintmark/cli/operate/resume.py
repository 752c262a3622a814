"""`mintmark resume`: after a human has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mintmark.cli.operate.read_database import named_log, read_options, read_store
from mintmark.cli.output import answer, run

if TYPE_CHECKING:
    from mintmark.config.settings import MirrorSettings
    from mintmark.store.log.model import Log


@click.command()
@click.argument("name")
@read_options
def resume(name: str, settings: MirrorSettings, as_json: bool) -> None:
    """Follow the log NAME again, and ask the sources again that contradicted it.

    The evidence is kept. Nothing that was verified is given up: a source that still contradicts it stops the log again.
    """
    log, resumed = run(_resume(settings.database, name))
    said = "is followed again" if resumed else "was not stopped"
    answer(as_json, {"origin": log.origin, "resumed": resumed}, f"{log.origin} {said}")


async def _resume(database: str, name: str) -> tuple[Log, bool]:
    async with read_store(database) as store:
        log = await named_log(store, name)
        return log, await store.evidence.resume(log.id)
