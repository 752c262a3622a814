"""The logs of a database, each with the keys that it is checked by; these come from our own configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mintmark.errors import Malformed
from mintmark.fsck.damage import Damage
from mintmark.store.fsck import fsck_store as sql
from mintmark.store.fsck import repair_sql
from mintmark.tlog.checkpoint import parse_tree_head
from mintmark.tlog.note import parse_note
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.store.fsck.fsck_store import FsckStore
    from mintmark.store.log.model import Log
    from mintmark.tlog.note import Verifier


@dataclass
class Keyed:
    """A log by its right origin. No verifiers: no key of it is known here."""

    log: Log
    verifiers: Sequence[Verifier]
    cosigners: Sequence[Verifier] = ()
    damages: list[Damage] = field(default_factory=list)


async def keyed_logs(
    store: FsckStore, trust: Mapping[str, Sequence[Verifier]], cosigners: Sequence[Verifier] = ()
) -> list[Keyed]:
    """Every log; `cosigners` are this mirror's own keys.

    An origin that no key is of may be a damaged one: then the log's note says which it was.
    """
    logs = await store.logs()
    taken = {log.origin for log in logs}
    return [
        Keyed(log, trust[log.origin], cosigners)
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
) -> Keyed:
    for _, _, note in await store.fetch(sql.HEAD, (log.id,)):
        try:
            origin = parse_tree_head(parse_note(note)[0]).origin
        except Malformed:
            continue
        if origin in trust and origin not in taken:
            fix = repair_sql.Fix(repair_sql.NAME, (origin, short_name(origin), log.id))
            damage = Damage(origin, "log", str(log.id), f"origin: {log.origin!r} where {origin!r} belongs", fix)
            return Keyed(replace(log, origin=origin), trust[origin], cosigners, [damage])
    return Keyed(log, ())
