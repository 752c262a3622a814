"""`mintmark rebuild` and `mintmark catch-up`: databases made again from what is proven.

`rebuild` makes the rows of a mirrored log from its verified bundles. `catch-up` brings a mint's database that was
restored from a backup, or lost, up to a mirror.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mintmark.cli.options import json_option, server_config_option, settings_options
from mintmark.cli.output import answer, progress, run
from mintmark.errors import Misconfigured, NotAvailableYet

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.cli.databases import Database
    from mintmark.config.settings import MintSettings, MirrorSettings
    from mintmark.store.log.model import Log
    from mintmark.store.mirror.withheld import WithheldItem
    from mintmark.tlog.checkpoint import Checkpoint


@click.command()
@click.argument("name")
@settings_options
def rebuild(name: str, settings: MirrorSettings, as_json: bool) -> None:
    """Make the rows of the log NAME in a read database again, byte for byte, from its bundles.

    The bundles are checked against the signed roots on the way. Exit 4 means that an item is withheld, which keeps the
    log's head back. It is one transaction: whoever reads meanwhile reads the old rows, and mirrors wait with this log
    until it is done.
    """
    from mintmark.cli.databases import read_database

    log, size, lacking = run(_rebuild(read_database(settings), name, as_json))
    answer(as_json, {"origin": log.origin, "size": size}, f"{log.origin}: the rows of {size} entries were made again")
    if lacking is not None:
        raise NotAvailableYet(f"{log.origin}: {lacking}; it is shown once a mirror finds a source that has it")


async def _rebuild(database: Database, name: str, as_json: bool) -> tuple[Log, int, WithheldItem | None]:
    from mintmark.cli.databases import named_log
    from mintmark.fsck.rebuild import rebuild
    from mintmark.store.connection.migrate import check
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mirror.read_store import ReadStore

    await check(database.conninfo, "read")
    async with open_pool(database.conninfo, 3) as pool:
        store = ReadStore(pool)
        log = await named_log(store, name)
        if log.origin not in database.trust:
            raise Misconfigured(f"no key of {log.origin} is known here; put it in the trust directory")
        head = await store.progress(log.origin)
        with progress(f"making {log.origin} again", head.size, as_json) as step:
            size = await rebuild(pool, log, database.trust[log.origin], step)
        lacking = await store.withheld.first(log.id) if size == head.pending > head.shown else None
        return log, size, lacking


@click.command("catch-up")
@click.argument("name", metavar="NAME")
@click.option("--from", "source", required=True, metavar="HOST:PORT", help="A mirror that holds the log.")
@click.option(
    "--salted", is_flag=True, help="The register was made --salted (if the database does not hold it at all)."
)
@server_config_option
@json_option
def catch_up(name: str, source: str, salted: bool, config: Path | None, as_json: bool) -> None:
    """Bring the mint's database of the log NAME up to what a mirror holds, verified by the log's own key.

    A mint refuses to sign for a database that is older than what it has signed: one restored from a backup, say. Give
    the mint's configuration. Everything comes in one transaction; a mint that runs goes on by itself afterwards.
    """
    from mintmark.config.settings import load_mint

    head = run(_catch_up(load_mint(config), name, source, salted, as_json))
    result = {"origin": head.origin, "size": head.size, "root": head.root.hex()}
    answer(as_json, result, f"{head.origin} is at its {head.size} entries again")


async def _catch_up(settings: MintSettings, name: str, source: str, salted: bool, as_json: bool) -> Checkpoint:
    from mintmark.mint.catch_up import catch_up
    from mintmark.mint.keys import KeyDirectory, read_keys
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.connection.migrate import migrate
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mint.mint_store import MintStore

    origin = read_keys(settings.keys / f"{name}.key")[0].name
    await migrate(settings.database, "mint")
    async with open_pool(settings.database, 2) as pool, GrpcSource(source) as client:
        keys = KeyDirectory(settings.keys)
        with progress(f"catching up {origin}", None, as_json) as step:
            return await catch_up(MintStore(pool), keys, origin, client, salted=salted, on_entries=step)
