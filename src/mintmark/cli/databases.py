"""The databases of a configuration, by its [mint] and [mirror] sections, and the keys of their logs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from mintmark.client.keys import read_vkeys
from mintmark.config.settings import configured, load_mint, load_mirror
from mintmark.errors import Misconfigured
from mintmark.mint.keys import read_keys
from mintmark.store.connection.migrate import check
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.note import parse_vkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from mintmark.config.settings import MirrorSettings
    from mintmark.store.connection.migrate import Component
    from mintmark.store.log.model import Log
    from mintmark.tlog.note import Verifier

SECTION_NAMES = {"mint": "mint", "read": "mirror"}  # by the kind of database


class Database(NamedTuple):
    """A database; the keys of its logs, by origin; and those that its mirror cosigns with."""

    kind: Component
    conninfo: str
    trust: Mapping[str, Sequence[Verifier]]
    cosigners: Sequence[Verifier] = ()


def databases(file: Path, kind: str | None) -> list[Database]:
    """The database of a kind, or all that a configuration names. Raises Misconfigured where it names none."""
    kinds = [kind] if kind else [kind for kind, section in SECTION_NAMES.items() if section in configured(file)]
    if not kinds:
        raise Misconfigured(f"{file} has neither a [mint] nor a [mirror] section; give one with --config FILE")
    return [_mint(file) if kind == "mint" else read_database(load_mirror(file)) for kind in kinds]


def _mint(file: Path) -> Database:
    settings = load_mint(file)
    found = [read_keys(key) for key in sorted(settings.keys.glob("*.key"))]
    return Database("mint", settings.database, {keys[0].name: [parse_vkey(k.vkey) for k in keys] for keys in found})


def read_database(settings: MirrorSettings) -> Database:
    """The database of a mirror."""
    found = [read_vkeys(key) for key in sorted(settings.trust.glob("*.vkey"))]
    cosigners = [parse_vkey(key.vkey) for key in read_keys(settings.key)] if settings.key else []
    return Database("read", settings.database, {keys[0].name: keys for keys in found}, cosigners)


@asynccontextmanager
async def read_store(database: str) -> AsyncIterator[ReadStore]:
    """The store, once the database is there and has this version's tables. Raises Misconfigured, Unavailable."""
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
    file = settings.trust / f"{log.name}.vkey"
    return [verifier.vkey for verifier in read_vkeys(file)] if file.exists() else []
