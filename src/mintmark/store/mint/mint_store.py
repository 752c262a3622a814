"""A mint's database as the mint sees it: what a log goes on from, and the one transaction that does it (DESIGN 6).

Crash order: nothing is written but in `commit`, which is one statement, a transaction of its own. It moves the head
first, from the value that the caller started from, and whatever stops it stops all of it. A lost race, a request id
that is there already and an answer that never came end alike: the caller reads the log again and asks which of its
requests are `answered` (docs/adr/002-optimistic-commit.md).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import errors as pg

from mintmark.errors import Conflict, MintmarkError, Misconfigured, NotFound, Rejected, Unavailable
from mintmark.register.reduce import Definition
from mintmark.store.log.log_store import LogStore
from mintmark.store.log.model import Head, Log
from mintmark.tlog import bundle, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH, WIDTH
from mintmark.tlog.origin import short_name
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence

    from psycopg.rows import TupleRow

    from mintmark.store.connection.pool import Connection
    from mintmark.store.log.model import LogKind, TileKey

CREATE = """
    with made as (insert into log (origin, name, kind, salted) values (%(origin)s, %(name)s, %(kind)s, %(salted)s)
                  on conflict do nothing returning id),
        begun as (insert into head (log, size, root, note) select id, 0, %(root)b, %(note)b from made returning log)
    select log from begun"""
HEAD = "select size, root, note from head where log = %s"
TILES = """
    select level, index, hashes
    from tile join unnest(%s::smallint[], %s::bigint[]) as k(level, index) using (level, index) where log = %s"""
TAIL = "select index, width, entries, items from bundle where log = %s and index = %s"
DEFINITIONS = "select key, index, item from definition where log = %s"
CLOCKS = "select type, timestamp from clock where log = %s"
ANSWERED = "select id, digest, first, count from request where log = %s and id = any(%s)"
ITEMS = "select index, items from bundle where log = %s and index = any(%s)"
# sql/mint/002.sql. Bytes go as they are, by %b.
COMMIT = """
    select commit_append(%s, %s, %b, %s, %b, %b, %s, %s, %s, %b, %s, %s, %b, %b, %b, %b, %s, %s,
                         %s, %b, %s, %s, %b, %s, %s)"""
RISKY = "select name from pg_settings where name in ('fsync', 'synchronous_commit') and setting = 'off' order by name"
PRUNE = "delete from request where at < now() - interval '7 days'"


class AppendReceipt(NamedTuple):
    """A request that is in the log: its id and digest, and where its entries stand."""

    id: bytes
    digest: bytes
    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count, which says nothing about a request


@dataclass(frozen=True, slots=True)
class StoredLog:
    """What a log can go on from: head, right edge and unfinished bundle; of a register, definitions and clocks."""

    head: Head
    edge: Edge
    tail: Bundle | None  # None where the size is a multiple of 256
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    clocks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MintCommit:
    """All that one transaction writes: rows as they will be, from `old` to `head`."""

    log: int
    old: Head
    head: Head
    tiles: Mapping[TileKey, bytes]
    bundles: Sequence[Bundle]
    requests: Sequence[AppendReceipt]
    erased: Mapping[int, bytes] = field(default_factory=dict)  # items of older bundles, without those that are erased
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    clocks: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[object]:
        """What `commit_append` takes, in order."""
        heads = [self.log, self.old.size, self.old.root, self.head.size, self.head.root, self.head.note]
        return [
            *heads,
            *_columns(4, ((level, index, len(h) // HASH, h) for (level, index), h in self.tiles.items())),
            *_columns(4, ((b.index, b.width, b.entries, b.items) for b in self.bundles)),
            *_columns(4, self.requests),
            *_columns(2, self.erased.items()),
            *_columns(3, ((key, *definition) for key, definition in self.definitions.items())),
            *_columns(2, self.clocks.items()),
        ]


class MintStore(LogStore):
    """Reads and writes one mint's database. Raises Unavailable where it cannot be reached."""

    async def create(self, origin: str, kind: LogKind, salted: bool, head: Head) -> Log:
        """The log of an origin, made empty with this head if it is new.

        Raises Rejected where it is there as another kind of log, or another log has its name.
        """
        async with self.writing() as writer:
            made = await writer.create(origin, kind, salted, head)
        if made is not None:
            self._logs[origin] = made
            self.notices.tell(made.id)
            return made
        try:
            log = await self.log(origin)
        except NotFound:
            reason = f"another log here is named {short_name(origin)!r}; the last segment of an origin is its name"
            raise Rejected(f"{origin} cannot be made: {reason}", rule="name") from None
        if (log.kind, log.salted) != (kind, salted):
            held = f"a {'salted ' if log.salted else ''}log of kind {log.kind}"
            raise Rejected(f"{origin} is here already, as {held}", rule="kind")
        return log

    async def check_durable(self) -> None:
        """Raises Misconfigured where the database answers a commit before it is on disk: an answer is for good."""
        if risky := [row[0] for row in await self._fetch(RISKY, ())]:
            raise Misconfigured(
                f"the mint's database has {' and '.join(risky)} off, and could lose what was acknowledged; set it on"
            )

    async def load(self, log: Log) -> StoredLog:
        """What the log can go on from.

        The head is read first, and the rest only grows: what a commit adds meanwhile is cut off, or belongs to a head
        by which the next commit of ours will fail. Raises MintmarkError for rows that are lost.
        """
        head = await self.head(log.id)
        keys = tile.edge_keys(head.size)
        levels, indices = [key[0] for key in keys], [key[1] for key in keys]
        async with self.pool.connection() as conn, conn.pipeline():
            found = [
                await conn.execute(query, args, binary=True)
                for query, args in (
                    (TILES, (levels, indices, log.id)),
                    (TAIL, (log.id, head.size // WIDTH)),
                    (DEFINITIONS, (log.id,)),
                    (CLOCKS, (log.id,)),
                )
            ]
            tiles, tails, definitions, clocks = [await cursor.fetchall() for cursor in found]
        edge = Edge.load(head.size, {(level, index): hashes for level, index, hashes in tiles})
        defined = {key: Definition(index, item) for key, index, item in definitions}
        return StoredLog(head, edge, _tail(head.size, tails), defined, dict(clocks))

    async def answered(self, log: int, ids: Collection[bytes]) -> dict[bytes, AppendReceipt]:
        """Those of these request ids that are in the log, by id."""
        return {row[0]: AppendReceipt(*row) for row in await self._fetch(ANSWERED, (log, list(ids)))}

    async def items(self, log: int, indices: Collection[int]) -> dict[int, bytes]:
        """The items of these bundles, by bundle index."""
        return dict(await self._fetch(ITEMS, (log, list(indices))))

    async def commit(self, commit: MintCommit) -> None:
        """Writes a commit whole, in one round trip.

        Raises:
            Conflict: the head is another than `commit.old`, or a request is there already. Nothing was written.
            Unavailable: the database did not answer, or could not write. It may be written: read the log again.
        """
        try:
            async with self.pool.connection() as conn:
                await _commit(conn, commit)
        except pg.UniqueViolation as error:
            raise Conflict("another mint took the same request") from error
        except psycopg.Error as error:
            raise Unavailable(f"the database refused a commit: {str(error).strip()}") from error
        self.notices.tell(commit.log)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writer]:
        """Several commits of one log, which are seen and durable when the block ends well, and not at all otherwise."""
        async with self.pool.connection() as conn, conn.transaction():
            yield Writer(conn)

    async def prune(self) -> None:
        """Forgets the requests of more than a week ago."""
        async with self.pool.connection() as conn:
            await conn.execute(PRUNE)


class Writer:
    """One transaction of several commits. Made by `MintStore.writing`."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, origin: str, kind: LogKind, salted: bool, head: Head) -> Log | None:
        """A new log with an empty tree and this note; None where its origin or its name is taken."""
        values = {"origin": origin, "name": short_name(origin), "kind": kind, "salted": salted}
        row = await (await self._conn.execute(CREATE, {**values, "root": head.root, "note": head.note})).fetchone()
        return None if row is None else Log(row[0], origin, short_name(origin), kind, salted)

    async def items(self, log: int, indices: Collection[int]) -> dict[int, bytes]:
        """The items of these bundles as they are by now, by bundle index."""
        return dict(await (await self._conn.execute(ITEMS, (log, list(indices)), binary=True)).fetchall())

    async def commit(self, commit: MintCommit) -> None:
        """Adds a commit. Raises Conflict where the head is another than `commit.old`."""
        await _commit(self._conn, commit)


async def _commit(conn: Connection, commit: MintCommit) -> None:
    row = await (await conn.execute(COMMIT, commit.arguments())).fetchone()
    if row is None or not row[0]:
        raise Conflict("another mint moved this log")


def _columns(width: int, rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Rows as columns, `width` of them even where there is no row."""
    return list(map(list, zip(*rows, strict=True))) or [[] for _ in range(width)]


def _tail(size: int, rows: list[TupleRow]) -> Bundle | None:
    """The unfinished bundle of a log of `size`, cut to it."""
    width = size % WIDTH
    if width == 0:
        return None
    if not rows or rows[0][1] < width:
        raise MintmarkError(f"bundle {size // WIDTH} is lost or too narrow; run mintmark fsck")
    index, _, entries, items = rows[0]
    return Bundle(index, width, bundle.take(entries, width), bundle.take(items, width) if items else b"")
