"""`mintmark rebuild`: the rows of a log made again from its verified bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mintmark.cli.operate.read_database import named_log, read_options
from mintmark.cli.output import answer, progress, run
from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from mintmark.cli.operate.databases import Database
    from mintmark.config.settings import MirrorSettings
    from mintmark.store.log.model import Log


@click.command()
@click.argument("name")
@read_options
def rebuild(name: str, settings: MirrorSettings, as_json: bool) -> None:
    """Make the rows of the log NAME in a read database again, byte for byte, from its bundles.

    The bundles are checked against the signed roots on the way. It is one transaction: whoever reads meanwhile reads
    the old rows, and mirrors wait with this log until it is done.
    """
    from mintmark.cli.operate.databases import read_database

    log, size = run(_rebuild(read_database(settings), name, as_json))
    answer(as_json, {"origin": log.origin, "size": size}, f"{log.origin}: the rows of {size} entries were made again")


async def _rebuild(database: Database, name: str, as_json: bool) -> tuple[Log, int]:
    from mintmark.fsck.rebuild import rebuild
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mirror.read_store import ReadStore

    async with open_pool(database.conninfo, 3) as pool:
        store = ReadStore(pool)
        log = await named_log(store, name)
        if log.origin not in database.trust:
            raise Misconfigured(f"no key of {log.origin} is known here; put it in the trust directory")
        head = await store.progress(log.origin)
        with progress(f"making {log.origin} again", head.size, as_json) as step:
            return log, await rebuild(pool, log, database.trust[log.origin], step)
