"""Which read database: the options that the commands for operators share.

--dir DIR        the one of an `up` of this machine
--config FILE    the one of a mirror's configuration
"""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli.options import dir_option, json_option
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mintmark.config.settings import MirrorSettings
    from mintmark.store.log.model import Log
    from mintmark.store.mirror.read_store import ReadStore

    Load = Callable[[], MirrorSettings]


def read_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `settings`, those of the mirror, and `as_json`."""

    @functools.wraps(command)
    def call(*args: Any, load: Load, **others: Any) -> Any:
        return command(*args, settings=load(), **others)

    return lazy_options(call)


def lazy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `load`, which reads the settings of the mirror, and `as_json`."""

    @functools.wraps(command)
    def call(*args: Any, dir_: Path, config: Path | None, **others: Any) -> Any:
        from mintmark.config.settings import load_mirror

        place = DeploymentDir(dir_)
        with nullcontext() if config else place.asking():
            return command(*args, load=lambda: load_mirror(config or place.configured()), **others)

    option = click.option("--config", type=click.Path(path_type=Path), help="A mirror's configuration.")
    return dir_option(option(json_option(call)))


@asynccontextmanager
async def read_store(database: str) -> AsyncIterator[ReadStore]:
    """The store, once the database is there and has this version's tables. Raises Misconfigured, Unavailable."""
    from mintmark.store.connection.migrate import check
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mirror.read_store import ReadStore

    await check(database, "read")
    async with open_pool(database, 1) as pool:
        yield ReadStore(pool)


async def named_log(store: ReadStore, name: str) -> Log:
    """The log of a short name or an origin. Raises Misconfigured where none is followed."""
    for log in await store.logs():
        if name in (log.name, log.origin):
            return log
    raise Misconfigured(f"no log {name!r} is followed here; `mintmark status` names those that are")


def trusted_keys(settings: MirrorSettings, log: Log) -> list[str]:
    """The vkeys of a log, if they are still in the trust directory."""
    from mintmark.config.key_files import read_vkeys

    file = settings.trust / f"{log.name}.vkey"
    return [verifier.vkey for verifier in read_vkeys(file)] if file.exists() else []
