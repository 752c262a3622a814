"""Which read database: the options that the commands for operators share.

--dir DIR        the one of an `up` of this machine
--config FILE    the one of a mirror's configuration
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli.place import Place
from mintmark.cli.where import dir_option, json_option
from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.config import MirrorSettings
    from mintmark.store.model import Log
    from mintmark.store.read_store import ReadStore


def read_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `settings`, those of the mirror, and `as_json`."""

    @functools.wraps(command)
    def call(*args: Any, dir_: Path, config: Path | None, **others: Any) -> Any:
        from mintmark.config import load_mirror

        file = config or Place(dir_).config
        return command(*args, settings=load_mirror(file), **others)

    option = click.option("--config", type=click.Path(path_type=Path), help="A mirror's configuration.")
    return dir_option(option(json_option(call)))


async def named_log(store: ReadStore, name: str) -> Log:
    """The log of a short name or an origin. Raises Misconfigured where none is followed."""
    for log in await store.logs():
        if name in (log.name, log.origin):
            return log
    raise Misconfigured(f"no log {name!r} is followed here; `mintmark status` names those that are")


def trusted_keys(settings: MirrorSettings, log: Log) -> list[str]:
    """The vkeys of a log, if they are still in the trust directory."""
    from mintmark.cli.keys import read_vkeys

    file = settings.trust / f"{log.name}.vkey"
    return [verifier.vkey for verifier in read_vkeys(file)] if file.exists() else []
