"""The mint's database as the mint uses it: the stored state of a log, and the one transaction that appends to it.

Crash order: only `commit` writes. It is one statement, a transaction of its own, which moves the head first, from the
value that the caller started from; whatever stops it stops all of it. A lost race, a request id that is stored already
and an answer that never came end alike: the caller reads the log again and asks which of its requests are `answered`
(docs/adr/002-optimistic-commit.md).
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import errors as pg

from mintmark.errors import Conflict, MintmarkError, Misconfigured, NotFound, Rejected, Unavailable
from mintmark.register.definitions import Definition
from mintmark.store.connection.sql import load_sql
from mintmark.store.log.log_store import LogStore
from mintmark.store.log.model import Head, Log
from mintmark.tlog import bundle, tile
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import HASH_BYTES, TILE_WIDTH
from mintmark.tlog.origin import short_name
from mintmark.tlog.trust import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
    from typing import LiteralString

    from psycopg.rows import TupleRow

    from mintmark.store.connection.pool import Connection
    from mintmark.store.log.model import LogKind, TileKey

REQUESTS_KEPT_DAYS = 7

SQL = load_sql(__package__, "mint_store")


class AppendReceipt(NamedTuple):
    """A request that is in the log: its id and digest, the index of its first entry, and the number of entries."""

    id: bytes
    digest: bytes
    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count, which says nothing about a request


@dataclass(frozen=True, slots=True)
class StoredLog:
    """The state that the next append starts from; a register has definitions and clocks."""

    head: Head
    edge: Edge
    tail: Bundle | None  # the unfinished bundle; None where the size is a multiple of 256
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    clocks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MintCommit:
    """Everything that one commit writes, from `old` to `head`: rows as they will be."""

    log: int
    old: Head
    head: Head
    tiles: Mapping[TileKey, bytes]
    bundles: Sequence[Bundle]
    requests: Sequence[AppendReceipt]
    erased: Mapping[int, bytes] = field(default_factory=dict)  # bundle index -> its items, without the erased ones
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    clocks: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, object]:
        """The arguments of the statement `commit`, by name."""
        tiles = ((level, index, len(hashes) // HASH_BYTES, hashes) for (level, index), hashes in self.tiles.items())
        bundles = ((b.index, b.width, b.entries, b.items) for b in self.bundles)
        definitions = ((key, *definition) for key, definition in self.definitions.items())
        return {
            "log": self.log,
            "old_size": self.old.size,
            "old_root": self.old.root,
            "new_size": self.head.size,
            "new_root": self.head.root,
            "new_note": self.head.note,
            **_columns(("levels", "tiles", "tile_widths", "tile_hashes"), tiles),
            **_columns(("bundles", "bundle_widths", "bundle_entries", "bundle_items"), bundles),
            **_columns(("ids", "digests", "firsts", "counts"), self.requests),
            **_columns(("erased", "erased_items"), self.erased.items()),
            **_columns(("keys", "positions", "definitions"), definitions),
            **_columns(("types", "timestamps"), self.clocks.items()),
        }


class MintStore(LogStore):
    """Reads and writes one mint's database. Raises Unavailable where it cannot be reached."""

    async def create(self, origin: str, kind: LogKind, salted: bool, head: Head) -> Log:
        """The log of an origin, created empty with this head if it is new.

        Raises Rejected where the origin is a log of another kind, or another log has its name.
        """
        async with self.transaction() as transaction:
            made = await transaction.create(origin, kind, salted, head)
        if made is not None:
            self._logs[origin] = made
            self.notifier.notify(made.id)
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
        """Raises Misconfigured where the database acknowledges a commit before it is on disk."""
        query = """select name from pg_settings where name in ('fsync', 'synchronous_commit') and setting = 'off'
            order by name"""
        if risky := [row[0] for row in await self.pool.fetch(query)]:
            raise Misconfigured(
                f"the mint's database has {' and '.join(risky)} off, and could lose what was acknowledged; set it on"
            )

    async def identity(self) -> str:
        """The name of this database: its random id, its number, and its server's where that may be asked.

        A restored copy keeps the first part, and differs in the others.
        """
        query = (
            "select concat_ws(' ', (select id from identity), oid) from pg_database where datname = current_database()"
        )
        parts = [(await self.pool.fetch(query))[0][0]]
        with suppress(Misconfigured):  # this user may not ask
            parts += (await self.pool.fetch("select system_identifier from pg_control_system()"))[0]
        return " ".join(map(str, parts))

    async def check_writable(self) -> None:
        """Raises Unavailable where the database takes no writes now, or does not answer."""
        if (await self.pool.fetch("select current_setting('transaction_read_only') = 'on'"))[0][0]:
            raise Unavailable("the mint's database takes no writes: it is a standby, or set so")

    async def load(self, log: Log) -> StoredLog:
        """The state that the next append starts from.

        The head is read first, and the rest only grows. What a commit adds meanwhile is cut off, or belongs to a head
        that makes our next commit fail. Raises MintmarkError where rows are lost.
        """
        head = await self.head(log.id)
        keys = tile.edge_keys(head.size)
        args = {"log": log.id, "levels": [level for level, _ in keys], "indices": [index for _, index in keys]}
        args["tail"] = head.size // TILE_WIDTH
        queries: tuple[LiteralString, ...] = (
            SQL["tiles"],
            "select index, width, entries, items from bundle where log = %(log)s and index = %(tail)s",
            "select key, index, item from definition where log = %(log)s",
            "select type, timestamp from clock where log = %(log)s",
        )
        async with self.pool.connection() as conn, conn.pipeline():
            cursors = [await conn.execute(query, args, binary=True) for query in queries]
            tiles, tails, definitions, clocks = [await cursor.fetchall() for cursor in cursors]
        edge = Edge.load(head.size, {(level, index): hashes for level, index, hashes in tiles})
        defined = {key: Definition(index, item) for key, index, item in definitions}
        return StoredLog(head, edge, _tail(head.size, tails), defined, dict(clocks))

    async def answered(self, log: int, ids: Collection[bytes]) -> dict[bytes, AppendReceipt]:
        """The receipts of those of these requests that are in the log, by request id."""
        rows = await self.pool.fetch(SQL["answered"], {"log": log, "ids": list(ids)})
        return {row[0]: AppendReceipt(*row) for row in rows}

    async def items(self, log: int, indices: Collection[int]) -> dict[int, bytes]:
        """The items of these bundles, by bundle index."""
        return dict(await self.pool.fetch(SQL["items"], {"log": log, "indices": list(indices)}))

    async def commit(self, commit: MintCommit) -> None:
        """Writes a whole commit, in one round trip.

        Raises:
            Conflict: the head is not `commit.old`, or a request is stored already. Nothing was written.
            Unavailable: the database did not answer, or could not write. It may be written: read the log again.
        """
        try:
            async with self.pool.connection() as conn:
                await _commit(conn, commit)
        except pg.UniqueViolation as error:
            raise Conflict("another mint took the same request") from error
        except psycopg.Error as error:
            reason = f"the database refused a commit: {str(error).strip()}"
            raise Unavailable(reason, "the database refused a commit") from error
        self.notifier.notify(commit.log)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MintTransaction]:
        """Several commits of one log: visible and durable when the block ends well, and not at all otherwise."""
        async with self.pool.connection() as conn, conn.transaction():
            yield MintTransaction(conn)

    async def prune(self) -> None:
        """Deletes the requests that are older than REQUESTS_KEPT_DAYS."""
        query = "delete from request where at < now() - %(days)s * interval '1 day'"
        await self.pool.execute(query, {"days": REQUESTS_KEPT_DAYS})


class MintTransaction:
    """One transaction of several commits, made by `MintStore.transaction`."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, origin: str, kind: LogKind, salted: bool, head: Head) -> Log | None:
        """Creates a log with an empty tree and this note; None where its origin or its name is taken."""
        values = {"origin": origin, "name": short_name(origin), "kind": kind, "salted": salted}
        values |= {"root": head.root, "note": head.note}
        row = await (await self._conn.execute(SQL["create"], values)).fetchone()
        return None if row is None else Log(row[0], origin, short_name(origin), kind, salted)

    async def items(self, log: int, indices: Collection[int]) -> dict[int, bytes]:
        """The items of these bundles as this transaction sees them, by bundle index."""
        args = {"log": log, "indices": list(indices)}
        return dict(await (await self._conn.execute(SQL["items"], args, binary=True)).fetchall())

    async def commit(self, commit: MintCommit) -> None:
        """Adds a commit. Raises Conflict where the head is not `commit.old`."""
        await _commit(self._conn, commit)


async def _commit(conn: Connection, commit: MintCommit) -> None:
    row = await (await conn.execute(SQL["commit"], commit.arguments())).fetchone()
    if row is None or not row[0]:
        raise Conflict("another mint moved this log")


def _columns(names: Sequence[str], rows: Iterable[Sequence[object]]) -> dict[str, list[object]]:
    """Rows as columns by name; empty columns where there is no row."""
    columns = list(map(list, zip(*rows, strict=True))) or [[] for _ in names]
    return dict(zip(names, columns, strict=True))


def _tail(size: int, rows: list[TupleRow]) -> Bundle | None:
    """The unfinished bundle of a log of `size`, cut to it."""
    width = size % TILE_WIDTH
    if width == 0:
        return None
    if not rows or rows[0][1] < width:
        raise MintmarkError(f"bundle {size // TILE_WIDTH} is lost or too narrow; run mintmark fsck")
    index, _, entries, items = rows[0]
    return Bundle(index, width, bundle.take(entries, width), bundle.take(items, width) if items else b"")
