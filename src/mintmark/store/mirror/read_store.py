"""A read database as its mirror sees it: what is followed, how far it is verified, and the one transaction of a step.

Crash order: no row of a log is written but in `integrate`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import errors as pg
from psycopg.rows import class_row

from mintmark.errors import Misconfigured, NotFound, Untrusted
from mintmark.store.log.log_store import LogStore
from mintmark.store.mirror.commit import commit_batch
from mintmark.store.mirror.model import Evidence, Heartbeat, LogStatus, Progress
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Mapping

    from mintmark.formats import LogKind
    from mintmark.store.log.model import TileKey
    from mintmark.store.mirror.model import Batch, Committed

FOLLOW = """
    with made as (insert into log (origin, name, kind) values (%(origin)s, %(name)s, %(kind)s)
                  on conflict (origin) do nothing returning id)
    insert into progress (log) select id from made"""
PROGRESS = """
    select log.id, log.origin, log.name, log.kind, p.size, p.note, p.pending, p.stopped, coalesce(h.size, -1) as shown,
        h.root
    from log join progress p on p.log = log.id left join head h on h.log = log.id where log.origin = %s"""
UNEXPLAINED = "select index from missing where log = %s and by is null order by index limit 1"
CLAIM = """
    with taken as (
        insert into lease (log, worker, until) values (%(log)s, %(worker)s, now() + %(seconds)s * interval '1 s')
        on conflict (log) do update set worker = excluded.worker, until = excluded.until
        where lease.worker = excluded.worker or lease.until < now()
        returning log)
    select case when exists (select from taken) then 0::float8
           else (select extract(epoch from until - now())::float8 from lease where log = %(log)s) end"""
RELEASE = """
    with silent as (delete from heartbeat where worker = %(worker)s)
    delete from lease where worker = %(worker)s"""
SHARES = """
    select count(*) filter (where worker = %(worker)s), count(*),
           (select count(distinct worker) from heartbeat
            where at > now() - %(alive)s * interval '1 s' and error is null)
    from lease where until > now()"""
EVIDENCE = """
    insert into evidence (log, kind, reason, notes, source)
    select %(log)s, %(kind)s, %(reason)s, %(notes)s::bytea[], %(source)s where not exists (
        select from evidence where log = %(log)s and kind = %(kind)s and source = %(source)s and notes = %(notes)s
        and resumed is null)"""
STOP = "update progress set stopped = %s, at = now() where log = %s and stopped is null"
CONTRADICTED = "update progress set error = %s where log = %s"
TROUBLE = """
    update progress p set error = %(reason)s, offered = greatest(offered, %(offered)s),
        behind = case when coalesce(h.size, 0) < greatest(offered, %(offered)s)
                 then case when behind > coalesce(h.at, '-infinity') then behind else now() end end
    from log l left join head h on h.log = l.id where l.id = p.log and l.origin = %(origin)s
    and (error is distinct from %(reason)s or offered < %(offered)s)"""
BEAT = """
    insert into heartbeat (worker, source, error) select %s, * from unnest(%s::text[], %s::text[])
    on conflict (worker, source) do update set error = excluded.error, at = now()"""
FORGET_BEATS = "delete from heartbeat where at < now() - interval '1 minute'"
BEATS = "select worker, source, error, at from heartbeat where at > now() - interval '1 minute' order by worker, source"
RESUME = """
    with before as (select stopped from progress where log = %(log)s),
         cleared as (update evidence set resumed = now() where log = %(log)s and resumed is null returning id),
         moved as (update progress set stopped = null, error = null where log = %(log)s)
    select exists (select from cleared) or exists (select from before where stopped is not null)"""
DISTRUSTED = "select distinct source from evidence where log = %s and resumed is null"
SHOWN = "select id, kind, reason, notes, source, at, resumed from evidence where log = %s order by id"
NOTE_AT = "select note from checkpoint where log = %s and size = %s"
LEAF_INDEXED = "select to_regclass('entry_leaf') is not null"
LEAF = "select index from entry where log = %s and leaf_hash = %s and index < %s order by index limit 1"
PROJECTED = "select number, live from entry where log = %s and index = %s"
STATUS = """
    select log.origin, log.name, log.kind, p.size, p.pending, coalesce(h.size, 0) as head, p.source, p.stopped, p.error,
           h.at as head_at, extract(epoch from now() - p.at)::float8 as quiet,
           greatest(p.offered, p.pending) as offered,
           coalesce(extract(epoch from now() - p.behind), 0)::float8 as late,
           (select count(*) from evidence e where e.log = log.id and e.resumed is null)::int as contradictions,
           case when l.until > now() then l.worker end as worker
    from log join progress p on p.log = log.id left join head h on h.log = log.id left join lease l on l.log = log.id
    order by log.name"""


class ReadStore(LogStore):
    """Reads and writes one read database. Raises Unavailable where it cannot be reached."""

    async def follow(self, origin: str, kind: LogKind) -> Progress:
        """The progress of a log, begun if it is new. Raises Misconfigured where another origin has its name.

        `kind` is what a source says; that of a log with entries is what these are.
        """
        if (found := await self._progress(origin)) is not None:
            return found if found.size else replace(found, kind=kind)
        try:
            async with self.pool.connection() as conn:
                await conn.execute(FOLLOW, {"origin": origin, "name": short_name(origin), "kind": kind})
        except pg.UniqueViolation:  # of the name: by another log, or by this one, begun at the same moment
            if (found := await self._progress(origin)) is None:
                named = f"another log here is named {short_name(origin)!r}"
                raise Misconfigured(f"{origin} cannot be followed: {named}; exclude one of them") from None
            return found
        return await self.progress(origin)

    async def progress(self, origin: str) -> Progress:
        """How far a log has been verified; raises NotFound where it is not followed."""
        if (found := await self._progress(origin)) is None:
            raise NotFound(f"{origin} is not followed here")
        return found

    async def _progress(self, origin: str) -> Progress | None:
        async with self.pool.connection() as conn, conn.cursor(binary=True, row_factory=class_row(Progress)) as cursor:
            await cursor.execute(PROGRESS, (origin,))
            return await cursor.fetchone()

    async def commit_batch(self, batch: Batch, before: Awaitable[Committed] | None = None) -> Committed:
        """Writes a verified batch and moves `progress` in one transaction; the head too where the batch completes it.

        The head does not move over an item that was withheld and that no erasure explains. Raises Conflict, with
        nothing written, where `progress.size` is not `batch.old_size` or the log was stopped.

        `before` is the commit of the batch before, where it is on its way: new rows of this one are sent meanwhile.
        """
        async with self.pool.connection() as conn:
            committed = await commit_batch(conn, batch, before)
        if committed.shown:
            self.notices.tell(batch.log)
        return committed

    async def unexplained(self, log: int) -> int | None:
        """The first item that a source withheld and no erasure entry explains."""
        rows = await self._fetch(UNEXPLAINED, (log,))
        return rows[0][0] if rows else None

    async def claim(self, log: int, worker: str, seconds: float) -> float:
        """Takes or keeps the lease if it is free, or ours: 0. Else the seconds until it is free."""
        rows = await self._fetch(CLAIM, {"log": log, "worker": worker, "seconds": seconds})
        return max(rows[0][0] or 0.0, 0.001) if rows[0][0] != 0 else 0.0

    async def release(self, worker: str) -> None:
        """Gives back all leases of a worker that ends, and takes its heartbeats away."""
        async with self.pool.connection() as conn:
            await conn.execute(RELEASE, {"worker": worker})

    async def shares(self, worker: str, alive: float) -> tuple[int, int, int]:
        """(leases of this worker, of all, workers that heard a source in the last `alive` seconds)."""
        rows = await self._fetch(SHARES, {"worker": worker, "alive": alive})
        return rows[0][0], rows[0][1], rows[0][2]

    async def contradict(self, log: int, error: Exception, source: str, *, stop: bool) -> None:
        """Keeps what cannot be true as evidence, the same but once; stops the log if so told."""
        notes = list(error.notes) if isinstance(error, Untrusted) else []
        async with self.pool.connection() as conn, conn.transaction():
            values = {"log": log, "kind": type(error).__name__, "reason": str(error), "notes": notes, "source": source}
            await conn.execute(EVIDENCE, values)
            await conn.execute(CONTRADICTED, (f"{source}: {type(error).__name__}: {error}", log))
            if stop:
                await conn.execute(STOP, (f"{type(error).__name__}: {error}", log))

    async def trouble(self, origin: str, reason: str, offered: int) -> None:
        """Notes a passing trouble for `status`, and the size of the largest signed head that was shown."""
        async with self.pool.connection() as conn:
            await conn.execute(TROUBLE, {"origin": origin, "reason": reason, "offered": offered})

    async def beat(self, worker: str, sources: Mapping[str, str | None]) -> None:
        """Notes that a worker lives, and what it last heard of each source (None: its stream is open)."""
        async with self.pool.connection() as conn:
            await conn.execute(BEAT, (worker, list(sources), list(sources.values())))
            await conn.execute(FORGET_BEATS)

    async def beats(self) -> list[Heartbeat]:
        """The workers that live, and what they hear."""
        return [Heartbeat(*row) for row in await self._fetch(BEATS, ())]

    async def resume(self, log: int) -> bool:
        """A human has decided: the log is followed again, and its distrusted sources are asked; whether any was not."""
        return bool((await self._fetch(RESUME, {"log": log}))[0][0])

    async def distrusted(self, log: int) -> set[str]:
        """The sources that contradicted this log, and nobody has decided since."""
        return {row[0] for row in await self._fetch(DISTRUSTED, (log,))}

    async def evidence(self, log: int) -> list[Evidence]:
        """Every contradiction kept of a log, oldest first."""
        return [Evidence(*row) for row in await self._fetch(SHOWN, (log,))]

    async def note_at(self, log: int, size: int) -> bytes | None:
        """The note of this size, if it was a head here."""
        rows = await self._fetch(NOTE_AT, (log, size))
        return rows[0][0] if rows else None

    async def status(self) -> list[LogStatus]:
        """Every log followed here, by name."""
        async with self.pool.connection() as conn, conn.cursor(row_factory=class_row(LogStatus)) as cursor:
            await cursor.execute(STATUS)
            return await cursor.fetchall()

    async def projected(self, log: int, size: int) -> tuple[int, int]:
        """(user entries, records that stand) of a register's first `size` entries, all of them projected."""
        if size == 0:
            return 0, 0
        rows = await self._fetch(PROJECTED, (log, size - 1))
        return rows[0][0], rows[0][1]

    async def v1_tiles(self, log: int, keys: Collection[TileKey]) -> dict[TileKey, bytes]:
        """Tiles of the tree over the user entries in their v1 form."""
        return await self._tiles("v1_tile", log, keys)

    async def leaf_index(self, log: int, leaf_hash: bytes, size: int) -> int:
        """The first index below `size` that has this leaf hash.

        Raises NotFound where none has, and where no index is kept: a request must not read a whole log.
        """
        if not (await self._fetch(LEAF_INDEXED, ()))[0][0]:
            raise NotFound(
                "this server keeps no index of leaf hashes; ask by index, or have its operator make one: "
                "create index entry_leaf on entry (log, leaf_hash)"
            )
        rows = await self._fetch(LEAF, (log, leaf_hash, size))
        if not rows:
            raise NotFound(f"no entry with leaf hash {leaf_hash.hex()} below {size}")
        index: int = rows[0][0]
        return index
