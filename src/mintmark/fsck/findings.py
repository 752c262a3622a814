"""Findings: the damages of one log, the logs of a database with their keys, and the rows of no log."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed
from mintmark.store.fsck import repairs
from mintmark.tlog.checkpoint import read_tree_head
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.fsck.repairs import Fix
    from mintmark.store.log.model import Log
    from mintmark.tlog.note import Verifier

# The tables with rows of a log, by whether it is a read database.
TABLES = {
    True: ("head", "tile", "bundle", "progress", "checkpoint", "entry", "missing", "v1_tile"),
    False: ("head", "tile", "bundle", "request", "definition", "clock"),
}


class Damage(NamedTuple):
    """A damaged row of a log, by table and key, what is wrong with it, and the statement that repairs it."""

    origin: str
    table: str
    key: str
    what: str
    fix: Fix | None = None  # None: a source must repair it, or nobody knows what was there

    def __str__(self) -> str:
        return f"{self.origin}: {' '.join(filter(None, (self.table, self.key)))}: {self.what}"


@dataclass
class Findings:
    """The damages of one log so far; called with each."""

    origin: str
    damages: list[Damage] = field(default_factory=list)

    def __call__(self, table: str, key: object, what: str, fix: Fix | None = None) -> None:
        """Notes a damage."""
        self.damages.append(Damage(self.origin, table, str(key), what, fix))

    def once(self) -> list[Damage]:
        """The first damage of each column of a row."""
        found: dict[tuple[str, str, str], Damage] = {}
        for damage in self.damages:
            found.setdefault((damage.table, damage.key, damage.what.split(":")[0]), damage)
        return list(found.values())


@dataclass
class KeyedLog:
    """A log by its right origin, and the keys from our own configuration; no verifiers: no key of it is known here."""

    log: Log
    verifiers: Sequence[Verifier]
    cosigners: Sequence[Verifier] = ()
    damages: list[Damage] = field(default_factory=list)


async def keyed_logs(
    store: FsckStore, trust: Mapping[str, Sequence[Verifier]], cosigners: Sequence[Verifier] = ()
) -> list[KeyedLog]:
    """Every log with its keys; `cosigners` are this mirror's own keys.

    An origin without a key may be damaged: then the log's note tells the right one.
    """
    logs = await store.logs()
    taken = {log.origin for log in logs}
    return [
        KeyedLog(log, trust[log.origin], cosigners)
        if log.origin in trust
        else await _renamed(store, log, trust, taken, cosigners)
        for log in logs
    ]


async def _renamed(
    store: FsckStore,
    log: Log,
    trust: Mapping[str, Sequence[Verifier]],
    taken: set[str],
    cosigners: Sequence[Verifier],
) -> KeyedLog:
    for _, _, note in await store.heads(log.id):
        try:
            origin = read_tree_head(note).origin
        except Malformed:
            continue
        if origin in trust and origin not in taken:
            fix = repairs.rename_log(log.id, origin, short_name(origin))
            damage = Damage(origin, "log", str(log.id), f"origin: {log.origin!r} where {origin!r} belongs", fix)
            return KeyedLog(replace(log, origin=origin), trust[origin], cosigners, [damage])
    return KeyedLog(log, ())


async def check_strays(store: FsckStore) -> list[Damage]:
    """The rows of logs that do not exist."""
    what = "rows of a log that is not there"
    return [
        Damage("(no log)", table, str(log), what, repairs.delete_log_rows(table, log))
        for table in TABLES[await store.mirrored()]
        for log in await store.stray_logs(table)
    ]
