"""Which databases, and by which keys their logs are checked: those of a configuration's [mint] and [mirror]."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.config.key_files import read_keys, read_vkeys
from mintmark.config.settings import configured, load_mint, load_mirror
from mintmark.errors import Misconfigured
from mintmark.tlog.note import parse_vkey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mintmark.config.settings import MirrorSettings
    from mintmark.store.connection.migrate import Component
    from mintmark.tlog.note import Verifier

SECTIONS = {"mint": "mint", "read": "mirror"}  # by the kind of database


class Database(NamedTuple):
    """A database, the keys of logs by origin, and those that its mirror cosigns with."""

    kind: Component
    conninfo: str
    trust: Mapping[str, Sequence[Verifier]]
    cosigners: Sequence[Verifier] = ()


def databases(file: Path, kind: str | None) -> list[Database]:
    """The database of a kind, or all that a configuration names. Raises Misconfigured where it names none."""
    kinds = [kind] if kind else [kind for kind, section in SECTIONS.items() if section in configured(file)]
    if not kinds:
        raise Misconfigured(f"{file} has neither a [mint] nor a [mirror] section; give one with --config FILE")
    return [_mint(file) if kind == "mint" else read_database(load_mirror(file)) for kind in kinds]


def _mint(file: Path) -> Database:
    settings = load_mint(file)
    found = [read_keys(key) for key in sorted(settings.keys.glob("*.key"))]
    return Database("mint", settings.database, {keys[0].name: [parse_vkey(k.vkey) for k in keys] for keys in found})


def read_database(settings: MirrorSettings) -> Database:
    """The one of a mirror."""
    found = [read_vkeys(key) for key in sorted(settings.trust.glob("*.vkey"))]
    cosigners = [parse_vkey(key.vkey) for key in read_keys(settings.key)] if settings.key else []
    return Database("read", settings.database, {keys[0].name: keys for keys in found}, cosigners)
