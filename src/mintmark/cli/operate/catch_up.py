"""`mintmark catch-up`: a mint's database that was restored from a backup, or lost, brought up to a mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mintmark.cli.options import json_option
from mintmark.cli.output import answer, progress, run
from mintmark.cli.run.servers import config_option

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.config.settings import MintSettings
    from mintmark.tlog.checkpoint import Checkpoint


@click.command("catch-up")
@click.argument("name", metavar="NAME")
@click.option("--from", "source", required=True, metavar="HOST:PORT", help="A mirror that holds the log.")
@click.option(
    "--salted", is_flag=True, help="The register was made --salted (if the database does not hold it at all)."
)
@config_option
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
